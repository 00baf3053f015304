import type { Folder } from '../data/folder.ts';
import { readJsonObject } from '../data/json.ts';
import { isClassifier } from '../model/reward_model.ts';

/** What an ONNX scorer cannot do without. */
export const ONNX_FILES = ['model.onnx', 'tokenizer.json'];
/** What an ONNX scorer reads of its folder; the last three may be absent. */
export const SCORER_FILES: readonly string[] = [
  ...ONNX_FILES,
  'tokenizer_config.json',
  'config.json',
  'chat_template.jinja',
];

/** Whether a folder holds a score head as weights, and not as ONNX. */
export async function runsOnEngine(folder: Folder): Promise<boolean> {
  if ((await folder.exists('model.onnx')) || !(await folder.exists('config.json'))) return false;
  return isClassifier(await readJsonObject(folder, 'config.json'));
}

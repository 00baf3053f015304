import type { Folder } from '../data/folder.ts';
import { readJsonObject } from '../data/json.ts';
import { shardsOf, WEIGHTS, WEIGHTS_INDEX } from './weight_files.ts';

/** Files of a Hugging Face folder that a policy may be made of, besides its weights. */
export const POLICY_SETTINGS = [
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'generation_config.json',
  'chat_template.jinja',
];

/** The files that make a policy, its weights among them; all but config.json and tokenizer.json may be absent. */
export async function policyFiles(folder: Folder): Promise<string[]> {
  if ((await folder.exists(WEIGHTS)) || !(await folder.exists(WEIGHTS_INDEX))) {
    return [...POLICY_SETTINGS, WEIGHTS];
  }
  const index = await readJsonObject(folder, WEIGHTS_INDEX);
  const shards = new Set(shardsOf(index, `${folder.name}/${WEIGHTS_INDEX}`).values());
  return [...POLICY_SETTINGS, WEIGHTS_INDEX, ...[...shards].sort()];
}

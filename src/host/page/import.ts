import { readJsonObject } from '../../data/json.ts';
import { UserError } from '../../errors.ts';
import { POLICY_SETTINGS } from '../../model/policy_files.ts';
import { WEIGHTS, WEIGHTS_INDEX } from '../../model/weight_files.ts';
import { PageFolder } from '../page_storage.ts';
import { SCORER_FILES } from '../scorer_folder.ts';
import { MODELS } from './places.ts';
import { needStorage } from './storage.ts';

/** Bytes copied at once. */
const PIECE = 1 << 24;
const WANTED = new Set([...POLICY_SETTINGS, ...SCORER_FILES, WEIGHTS_INDEX]);

/** Files of a folder that the user picked. */
export async function filesOf(folder: FileSystemDirectoryHandle): Promise<File[]> {
  const files: File[] = [];
  const entries = folder as unknown as AsyncIterable<[string, FileSystemHandle]>;
  for await (const [, entry] of entries) {
    if (entry.kind === 'file') files.push(await (entry as FileSystemFileHandle).getFile());
  }
  return files;
}

/**
 * Copies a model's files into the storage of the origin, where it outlives the page and is there offline; returns its
 * folder. A folder of that name is replaced once all files are there.
 */
export async function importModel(
  name: string,
  files: readonly File[],
  onBytes: (done: number, total: number) => void = () => {},
): Promise<string> {
  const wanted = files.filter(({ name }) => WANTED.has(name) || name.endsWith('.safetensors'));
  const names = new Set(wanted.map((file) => file.name));
  checkModel(name, names, files);
  const total = wanted.reduce((sum, { size }) => sum + size, 0);
  await needStorage(total, name);
  const path = `${MODELS}/${safeName(name)}`;
  const folder = new PageFolder(path);
  await new PageFolder(MODELS).remove(safeName(name));
  let done = 0;
  try {
    for (const file of wanted) {
      if (file.size === 0) await folder.write(file.name, '');
      for (let at = 0; at < file.size; at += PIECE) {
        const piece = new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer());
        await folder.appendBytes(file.name, piece);
        done += piece.length;
        onBytes(done, total);
      }
    }
    if (names.has('config.json')) await readJsonObject(folder, 'config.json');
  } catch (error) {
    await new PageFolder(MODELS).remove(safeName(name));
    throw error;
  }
  return path;
}

function checkModel(name: string, names: ReadonlySet<string>, all: readonly File[]): void {
  const found =
    all.length === 0
      ? 'no files'
      : all
          .slice(0, 6)
          .map((file) => file.name)
          .join(', ');
  const expect = (what: string) =>
    new UserError(`${name}: expected a model's folder with ${what}, found ${found}`);
  if (!names.has('tokenizer.json')) throw expect('tokenizer.json');
  if (names.has('model.onnx')) return;
  if (!names.has('config.json')) throw expect('config.json, or model.onnx for a scorer');
  if (!names.has(WEIGHTS) && !names.has(WEIGHTS_INDEX)) throw expect(`${WEIGHTS} or ${WEIGHTS_INDEX}`);
}

/** A name that is one folder's, whatever characters it has. */
export function safeName(name: string): string {
  return name.replace(/[^\w.@-]+/g, '--').replace(/^\.+/, '') || 'model';
}

import { UserError } from '../errors.ts';
import type { Folder } from './folder.ts';
import { type SafeTensor, storedTensor } from './safetensors.ts';
import { headerEnd, LENGTH_BYTES, parseHeader, type TensorEntry } from './safetensors_header.ts';

/** Tensors that stay in their files until each is asked for. */
export interface TensorReader {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /** Reads one tensor; throws a UserError when there is none of that name. */
  read(key: string): Promise<SafeTensor>;
}

/** Opens a file of `folder`, reading no more than its header. */
export async function openSafetensors(folder: Folder, path: string): Promise<TensorReader> {
  const name = `${folder.name}/${path}`;
  const size = await folder.size(path);
  const first = await folder.readRange(path, 0, Math.min(size, LENGTH_BYTES));
  const dataStart = headerEnd(first, size, name);
  const json = await folder.readRange(path, LENGTH_BYTES, dataStart);
  const { entries } = parseHeader(json, dataStart, size, name);
  return {
    entries,
    async read(key) {
      const entry = entries.get(key);
      if (!entry) throw new UserError(`${name}: expected a tensor ${key}, found none`);
      const bytes = await folder.readRange(path, entry.begin, entry.end);
      return storedTensor(entry.dtype, entry.shape, bytes);
    },
  };
}

/** A page that writes to its storage as told, as `globalThis.store`. */
import { messageOf } from '../../../src/errors.ts';
import { PageFolder } from '../../../src/host/page_storage.ts';

/** How a write went, and the sizes of all files by their paths. */
export interface StoreOutcome {
  readonly error?: string;
  readonly files: Readonly<Record<string, number>>;
}

async function store(how: 'write' | 'append', file: string, length: number): Promise<StoreOutcome> {
  const folder = new PageFolder('runs/test');
  const error = await folder[how](file, 'x'.repeat(length)).then(() => undefined, messageOf);
  const files: Record<string, number> = {};
  for (const each of await folder.files()) files[each] = await folder.size(each);
  return { error, files };
}

Object.assign(globalThis, { store });

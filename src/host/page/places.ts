import type { Folder } from '../../data/folder.ts';
import { HttpFolder } from '../../data/http_folder.ts';
import { PageFolder } from '../page_storage.ts';

/** Where in the storage of the page's origin things are kept. */
export const MODELS = 'models';
export const RUNS = 'runs';
export const FILES = 'files';

const ADDRESS = /^(https?:\/\/|chrome-extension:\/\/|moz-extension:\/\/|\.{0,2}\/)/;

/**
 * The folder that a name stands for in a page: an address, absolute or relative to the page (`./demo/policy`), else a folder
 * of the origin's storage (`models/mine`).
 */
export function folderOf(name: string): Folder {
  return ADDRESS.test(name) ? new HttpFolder(name) : new PageFolder(name.replace(/\/+$/, ''));
}

/** The bytes of a single file, named in the same way. */
export async function readNamed(path: string): Promise<Uint8Array> {
  const cut = path.lastIndexOf('/') + 1;
  return await folderOf(path.slice(0, cut)).read(path.slice(cut));
}

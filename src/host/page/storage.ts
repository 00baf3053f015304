import { UserError } from '../../errors.ts';
import { PageFolder } from '../page_storage.ts';

/** What the origin's storage has left, in bytes; undefined where the browser does not say. */
export async function freeStorage(): Promise<number | undefined> {
  const { quota, usage } = (await navigator.storage?.estimate?.()) ?? {};
  return quota === undefined || usage === undefined ? undefined : Math.max(0, quota - usage);
}

/** Asks the browser to keep the storage even when disks get full; whether it will. */
export async function persistStorage(): Promise<boolean> {
  return (await navigator.storage?.persist?.()) ?? false;
}

/** Throws unless so many bytes fit. */
export async function needStorage(bytes: number, what: string): Promise<void> {
  const free = await freeStorage();
  if (free === undefined || bytes <= free) return;
  throw new UserError(
    `${what}: expected room for ${megabytes(bytes)} in the browser's storage for this page, got ${megabytes(free)}; ` +
      'delete runs or models here, or free some of the disk',
  );
}

/** Names of the folders below one of the storage's. */
export async function foldersIn(path: string): Promise<string[]> {
  const files = await new PageFolder(path).files();
  return [...new Set(files.map((file) => file.split('/')[0]))].sort();
}

export function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`;
}

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf, UserError } from '../errors.ts';

/** Imports a JavaScript or TypeScript module of the user's; `path` is relative to the current directory. */
export async function importModule(path: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(resolve(path)).href)) as Record<string, unknown>;
  } catch (error) {
    throw new UserError(`${path}: could not be loaded as a module (${messageOf(error)})`);
  }
}

import { messageOf, UserError } from '../errors.ts';
import type { Folder } from './folder.ts';

/** The JSON object in a file of `folder`. */
export async function readJsonObject(folder: Folder, path: string): Promise<Record<string, unknown>> {
  return parseJsonObject(await folder.readText(path), `${folder.name}/${path}`);
}

/** The JSON object in a text; `name` is how messages call it. */
export function parseJsonObject(text: string, name: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${name}: expected JSON (${messageOf(error)})`);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new UserError(`${name}: expected a JSON object, got ${JSON.stringify(json).slice(0, 40)}`);
  }
  return json as Record<string, unknown>;
}

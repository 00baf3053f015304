import { sha256 } from '../../src/data/hash.ts';
import { parsePreferences } from '../../src/data/preferences.ts';
import { parsePrompts } from '../../src/data/prompts.ts';
import { safeName } from '../../src/host/page/import.ts';
import { FILES, MODELS } from '../../src/host/page/places.ts';
import { foldersIn } from '../../src/host/page/storage.ts';
import { PageFolder } from '../../src/host/page_storage.ts';

/** What a file that the user gives holds. */
export type FileKind = 'prompts' | 'helpful' | 'safe';

const CHECKS: Readonly<Record<FileKind, (text: string, name: string) => unknown>> = {
  prompts: parsePrompts,
  helpful: (text, name) => parsePreferences(text, name, 'helpful'),
  safe: (text, name) => parsePreferences(text, name, 'safe'),
};

/** Keeps a file of the user's for runs, which may outlive the page; throws where it is not of that kind. */
export async function keepFile(kind: FileKind, file: File): Promise<string> {
  const text = await file.text();
  CHECKS[kind](text, file.name);
  // Another file of the same name must not change what the runs so far, or the other field, were given.
  const folder = `${FILES}/${(await sha256(text)).slice(0, 16)}`;
  const name = safeName(file.name);
  await new PageFolder(folder).write(name, text);
  return `${folder}/${name}`;
}

/** Folders of the models that were imported or fetched. */
export async function storedModels(): Promise<string[]> {
  return (await foldersIn(MODELS)).map((name) => `${MODELS}/${name}`);
}

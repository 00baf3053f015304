import type { ModelSource, Source } from '../align/context.ts';
import type { Folder } from '../data/folder.ts';
import { sha256 } from '../data/hash.ts';
import type { TemplateKwargs } from '../model/chat.ts';
import type { DtypeChoice } from '../model/dtype.ts';
import { freePolicy, type Policy } from '../model/policy.ts';
import { POLICY_SETTINGS, policyFiles } from '../model/policy_files.ts';
import { once } from '../once.ts';

/** A folder that hashes a file without holding it whole. */
export interface HashingFolder extends Folder {
  /** In hexadecimal. */
  sha256(path: string): Promise<string>;
}

/** sha-256 over the hashes of a folder's files; the first has to be there. */
export async function hashFolder(folder: HashingFolder, files: readonly string[]): Promise<string> {
  const hashes: string[] = [];
  for (const [index, file] of files.entries()) {
    if (index > 0 && !(await folder.exists(file))) continue;
    hashes.push(`${file} ${await folder.sha256(file)}`);
  }
  return await sha256(hashes.join('\n'));
}

/** What sets a chat template apart from the folder's own: its text, and the settings given to it. */
export function templateParts(template: string | undefined, kwargs: TemplateKwargs = {}): string[] {
  const given = Object.keys(kwargs).length > 0;
  return [...(template === undefined ? [] : [template]), ...(given ? [JSON.stringify(kwargs)] : [])];
}

/** Of a policy: weights that are rounded, and another template, make another one. */
export async function hashPolicy(
  folder: HashingFolder,
  template: readonly string[],
  dtype: DtypeChoice,
  initialSeed?: number,
): Promise<string> {
  const anew = initialSeed !== undefined;
  const parts = [await hashFolder(folder, anew ? POLICY_SETTINGS : await policyFiles(folder))];
  if (anew) parts.push(`weights drawn from seed ${initialSeed}`);
  parts.push(...template);
  if (dtype !== 'auto' && dtype !== 'float32') parts.push(dtype);
  return parts.length === 1 ? parts[0] : await sha256(parts.join('\n'));
}

/** The source of that name, whose hash and value are each made once. */
export function remember<T>(
  known: Map<string, Source<T>>,
  name: string,
  { hash, load }: Source<T>,
): Source<T> {
  let source = known.get(name);
  if (!source) {
    source = { hash: once(hash), load: once(load) };
    known.set(name, source);
  }
  return source;
}

/** The same of a model, which is made anew after it was unloaded. */
export function rememberModel<P extends Policy>(
  known: Map<string, ModelSource<P>>,
  name: string,
  { hash, load }: Source<P>,
): ModelSource<P> {
  let source = known.get(name);
  if (!source) {
    let loaded: Promise<P> | undefined;
    source = {
      hash: once(hash),
      load: () => {
        loaded ??= load();
        return loaded;
      },
      unload: async () => {
        const model = loaded;
        loaded = undefined;
        if (model) freePolicy(await model);
      },
    };
    known.set(name, source);
  }
  return source;
}

/** A policy that a run trained, as it lies in a folder: adapter/, or, where all weights are trained, model/. */
import { subfolder, type WritableFolder } from '../data/folder.ts';
import { sha256 } from '../data/hash.ts';
import type { Policy } from '../model/policy.ts';
import { policyFiles } from '../model/policy_files.ts';
import { modelFiles, savedFiles } from '../model/save.ts';
import { ADAPTER, ADAPTER_FILES, MODEL } from './artefacts.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';

/** What depends on a trained policy, depends on this: its hash, under the name of what it is. */
export async function trainedSettings(
  context: Pick<Context, 'config'>,
  folder: WritableFolder,
): Promise<Record<string, string>> {
  return { [context.config.full ? MODEL : ADAPTER]: await trainedHash(context, folder) };
}

/** sha-256 of the trained weights; of a model in several files, that of their hashes. */
export async function trainedHash(
  { config }: Pick<Context, 'config'>,
  folder: WritableFolder,
): Promise<string> {
  if (!config.full) return await sha256(await folder.read(ADAPTER_FILES[1]));
  const model = subfolder(folder, MODEL);
  const weights = (await policyFiles(model)).filter((file) => file.endsWith('.safetensors'));
  const hashes: string[] = [];
  for (const file of weights) hashes.push(await sha256(await model.read(file)));
  return hashes.length === 1 ? hashes[0] : await sha256(hashes.join('\n'));
}

/** The files that are there once a policy has been trained. */
export async function trainedFiles({ config, sources }: Context): Promise<readonly string[]> {
  if (!config.full) return ADAPTER_FILES;
  const { config: model } = await sources.outline(need(config, 'policy').policy);
  return savedFiles(model).map((file) => `${MODEL}/${file}`);
}

export async function copyTrained(
  { config, sources }: Context,
  from: WritableFolder,
  to: WritableFolder,
): Promise<void> {
  const copy = async (file: string) => await to.write(file, await from.read(file));
  if (!config.full) {
    for (const file of ADAPTER_FILES) await copy(file);
    return;
  }
  const { config: model } = await sources.outline(need(config, 'policy').policy);
  for (const file of modelFiles(model).map((name) => `${MODEL}/${name}`)) {
    if (await from.exists(file)) await copy(file);
  }
}

/** Calls `use` with the policy that was trained in a folder. */
export async function withTrained<T>(
  context: Context,
  folder: WritableFolder,
  use: (policy: Policy) => Promise<T>,
): Promise<T> {
  const policy = await loadTrained(context, folder);
  try {
    return await use(policy);
  } finally {
    if (context.config.full) await context.sources.policy(`${folder.name}/${MODEL}`).unload();
  }
}

/** The run's policy with the adapter of a folder; or the folder's model, in the place of the run's policy on the device. */
export async function loadTrained(
  { config, sources }: Pick<Context, 'config' | 'sources'>,
  folder: WritableFolder,
): Promise<Policy> {
  const source = sources.policy(need(config, 'policy').policy);
  if (config.full) {
    await source.unload();
    return await sources.policy(`${folder.name}/${MODEL}`).load();
  }
  const policy = await source.load();
  await sources.useAdapter(policy, `${folder.name}/${ADAPTER}`);
  return policy;
}

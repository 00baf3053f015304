import type { Folder } from '../data/folder.ts';
import { readJsonObject } from '../data/json.ts';
import type { TensorEntry } from '../data/safetensors_header.ts';
import { openSafetensors, type TensorReader } from '../data/safetensors_reader.ts';
import { UserError } from '../errors.ts';

export const WEIGHTS = 'model.safetensors';
export const WEIGHTS_INDEX = 'model.safetensors.index.json';

/** A model's tensors: of model.safetensors, or of the shards that its index names. */
export interface WeightFiles extends TensorReader {
  /** How messages call the place a tensor is looked for. */
  readonly name: string;
}

/** Opens the weights of a Hugging Face folder, reading headers alone. */
export async function openWeightFiles(folder: Folder): Promise<WeightFiles> {
  if (!(await folder.exists(WEIGHTS)) && (await folder.exists(WEIGHTS_INDEX))) return openShards(folder);
  return { ...(await openSafetensors(folder, WEIGHTS)), name: `${folder.name}/${WEIGHTS}` };
}

/** The shards that an index names, in order of their names; `name` stands in errors. */
export function shardsOf(index: Readonly<Record<string, unknown>>, name: string): Map<string, string> {
  const map = index.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map) || Object.keys(map).length === 0) {
    throw new UserError(`${name}: expected weight_map as an object of tensors and their files, got none`);
  }
  for (const [key, file] of Object.entries(map)) {
    // A shard lies beside its index: a path that leads elsewhere is not one.
    if (typeof file !== 'string' || !/^[\w.-]+\.safetensors$/.test(file)) {
      throw new UserError(
        `${name}: expected the file of ${key} as a name that ends in .safetensors, got ${JSON.stringify(file)}`,
      );
    }
  }
  return new Map(Object.entries(map as Record<string, string>));
}

async function openShards(folder: Folder): Promise<WeightFiles> {
  const name = `${folder.name}/${WEIGHTS_INDEX}`;
  const fileOf = shardsOf(await readJsonObject(folder, WEIGHTS_INDEX), name);
  const shards = new Map<string, TensorReader>();
  const entries = new Map<string, TensorEntry>();
  for (const file of [...new Set(fileOf.values())].sort()) {
    if (!(await folder.exists(file))) {
      throw new UserError(`${folder.name}/${file}: no such file; ${WEIGHTS_INDEX} names it as a shard`);
    }
    const shard = await openSafetensors(folder, file);
    shards.set(file, shard);
    for (const [key, entry] of shard.entries) {
      if (fileOf.get(key) !== file) {
        throw new UserError(
          `${folder.name}/${file}: holds ${key}, which ${WEIGHTS_INDEX} places in ${fileOf.get(key) ?? 'no file'}; ` +
            'the shards and the index are of different models',
        );
      }
      entries.set(key, entry);
    }
  }
  for (const [key, file] of fileOf) {
    if (!entries.has(key)) {
      throw new UserError(`${folder.name}/${file}: ${key} is missing; ${WEIGHTS_INDEX} places it there`);
    }
  }
  return {
    name,
    entries,
    async read(key) {
      const shard = shards.get(fileOf.get(key) ?? '');
      if (!shard) throw new UserError(`${name}: expected a tensor ${key}, found none`);
      return await shard.read(key);
    },
  };
}

/** Whole models in the layout of Hugging Face's folders. */
import type { Folder, WritableFolder } from '../data/folder.ts';
import { readJsonObject } from '../data/json.ts';
import { type TensorData, writeSafetensors } from '../data/safetensors.ts';
import { UserError } from '../errors.ts';
import type { LlamaConfig } from './config.ts';
import type { Json } from './families.ts';
import { mergeAdapter } from './lora.ts';
import { namedWeights } from './parameters.ts';
import type { Policy } from './policy.ts';
import { WEIGHTS, WEIGHTS_INDEX } from './weight_files.ts';
import { weightShapes } from './weights.ts';

/** Bytes of a file of weights: more than one holds only where a single tensor is larger. */
const SHARD_BYTES = 2 ** 30;

/** Files besides the weights and config.json that a model takes over as they are. */
const TAKEN_OVER = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'generation_config.json',
];

/** The names of a model's tensors by the file that each goes into, in float32. */
function shardPlan(config: LlamaConfig, shardBytes: number): Map<string, string[]> {
  const shards: string[][] = [];
  let room = 0;
  for (const [key, shape] of weightShapes(config)) {
    const bytes = 4 * shape.reduce((product, size) => product * size, 1);
    if (shards.length === 0 || bytes > room) {
      shards.push([]);
      room = shardBytes;
    }
    shards.at(-1)!.push(key);
    room -= bytes;
  }
  const digits = (count: number) => String(count).padStart(5, '0');
  const name = (index: number) =>
    shards.length === 1 ? WEIGHTS : `model-${digits(index + 1)}-of-${digits(shards.length)}.safetensors`;
  return new Map(shards.map((keys, index) => [name(index), keys]));
}

/** The files of `saveModel` that are always there. */
export function savedFiles(config: LlamaConfig, shardBytes = SHARD_BYTES): string[] {
  const shards = [...shardPlan(config, shardBytes).keys()];
  return ['config.json', 'tokenizer.json', ...(shards.length > 1 ? [WEIGHTS_INDEX] : []), ...shards];
}

/** All files that `saveModel` may write; those that it takes over from the base need not be there. */
export function modelFiles(config: LlamaConfig): string[] {
  return [...new Set([...TAKEN_OVER, ...savedFiles(config)])];
}

/** How a model is written. */
export interface SaveModelOptions {
  /** config.json of what is saved, from that of `base`; the same by default. */
  readonly configOf?: (json: Json) => Json;
  /** Bytes of a file of weights at most; 1 GiB by default. */
  readonly shardBytes?: number;
}

/**
 * Writes a model as transformers reads it: its weights in float32, an adapter merged into them, and configuration and
 * tokenizer of `base`, the folder that it was loaded from. config.json comes last: a folder with one is whole.
 *
 * @throws UserError where weights are held as anything but f32.
 */
export async function saveModel(
  model: Policy,
  base: Folder,
  out: WritableFolder,
  { configOf = (json) => json, shardBytes = SHARD_BYTES }: SaveModelOptions = {},
): Promise<void> {
  const { engine, adapter, config } = model;
  for (const file of TAKEN_OVER) if (await base.exists(file)) await out.write(file, await base.read(file));
  const merged = adapter ? mergeAdapter(model, adapter) : { weights: model.weights, free: () => {} };
  const held = new Map([...namedWeights(config, merged.weights)].map(({ key, tensor }) => [key, tensor]));
  const shards = shardPlan(config, shardBytes);
  const places: Record<string, string> = {};
  let total = 0;
  for (const [file, keys] of shards) {
    const tensors: [string, TensorData][] = [];
    for (const [key, tensor] of held) {
      if (!keys.includes(key)) continue;
      if (tensor.dtype !== 'f32') {
        throw new UserError(
          `${model.name}: expected weights held as f32 for saving them, got ${tensor.dtype} for ${key}; load them as f32`,
        );
      }
      const data = await engine.read(tensor);
      tensors.push([key, { shape: tensor.shape, data }]);
      places[key] = file;
      total += data.byteLength;
    }
    await out.write(file, writeSafetensors(tensors, { format: 'pt' }));
  }
  merged.free();
  if (shards.size > 1) {
    const index = { metadata: { total_size: total }, weight_map: places };
    await out.write(WEIGHTS_INDEX, `${JSON.stringify(index, null, 2)}\n`);
  }
  const json = configOf(inFloat32(await readJsonObject(base, 'config.json')));
  await out.write('config.json', `${JSON.stringify(json, null, 2)}\n`);
}

/** transformers would round the weights to what the base model was stored as. */
function inFloat32(json: Json): Json {
  const named = ['dtype', 'torch_dtype'].filter((name) => name in json);
  return { ...json, ...Object.fromEntries(named.map((name) => [name, 'float32'])) };
}

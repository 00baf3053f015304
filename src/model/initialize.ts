/** First values of a model that is trained from scratch, as transformers draws them: normal matrices, norms of one. */
import type { Folder } from '../data/folder.ts';
import { readJsonObject } from '../data/json.ts';
import type { TensorData } from '../data/safetensors.ts';
import type { Engine } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import { keyOf, Random } from '../random.ts';
import type { LlamaConfig } from './config.ts';
import { assembleWeights, type LlamaWeights, weightShapes } from './weights.ts';

/** transformers' initializer_range of every family, where config.json gives none. */
const DEVIATION = 0.02;
/** So many uniforms have a variance of one together. */
const UNIFORMS = 12;

/** Every weight of a model, by its name in Hugging Face's folders. */
export function initialWeights(config: LlamaConfig, seed: number): Map<string, TensorData> {
  const shapes = [...weightShapes(config)];
  return new Map(shapes.map(([name, shape]) => [name, { shape, data: initialWeight(name, shape, seed) }]));
}

/** The weights of a model that is to be trained from scratch, on a device; matrices deviate as config.json of `folder` says. */
export async function initializeWeights(
  engine: Engine,
  folder: Folder,
  config: LlamaConfig,
  seed: number,
): Promise<LlamaWeights> {
  const { initializer_range: range = DEVIATION } = await readJsonObject(folder, 'config.json');
  if (typeof range !== 'number' || !(range > 0 && range < Infinity)) {
    throw new UserError(
      `${folder.name}/config.json: expected initializer_range above 0, got ${JSON.stringify(range)}`,
    );
  }
  const shapes = weightShapes(config);
  return await assembleWeights(config, async (key) => {
    const shape = shapes.get(key)!;
    return engine.upload(initialWeight(key, shape, seed, range), shape);
  });
}

/** One weight; it depends on its name, its shape, the seed and the standard deviation of matrices alone. */
export function initialWeight(
  name: string,
  shape: readonly number[],
  seed: number,
  deviation = DEVIATION,
): Float32Array {
  const length = shape.reduce((product, size) => product * size, 1);
  if (shape.length === 1) return new Float32Array(length).fill(name.endsWith('.bias') ? 0 : 1);
  const random = new Random(keyOf(seed, name));
  const normal = () => {
    let sum = -UNIFORMS / 2;
    for (let i = 0; i < UNIFORMS; i++) sum += random.uniform();
    return sum;
  };
  return Float32Array.from({ length }, () => deviation * normal());
}

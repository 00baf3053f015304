/** First values of a model that is trained from scratch, as transformers draws them: normal matrices, norms of one. */
import type { TensorData } from '../data/safetensors.ts';
import { keyOf, Random } from '../random.ts';
import type { LlamaConfig } from './config.ts';
import { weightShapes } from './weights.ts';

/** transformers' initializer_range of every family. */
const DEVIATION = 0.02;
/** So many uniforms have a variance of one together. */
const UNIFORMS = 12;

/** Every weight of a model, by its name in Hugging Face's folders. */
export function initialWeights(config: LlamaConfig, seed: number): Map<string, TensorData> {
  const shapes = [...weightShapes(config)];
  return new Map(shapes.map(([name, shape]) => [name, { shape, data: initialWeight(name, shape, seed) }]));
}

/** One weight; it depends on its name, its shape and the seed alone. */
export function initialWeight(name: string, shape: readonly number[], seed: number): Float32Array {
  const length = shape.reduce((product, size) => product * size, 1);
  if (shape.length === 1) return new Float32Array(length).fill(name.endsWith('.bias') ? 0 : 1);
  const random = new Random(keyOf(seed, name));
  const normal = () => {
    let sum = -UNIFORMS / 2;
    for (let i = 0; i < UNIFORMS; i++) sum += random.uniform();
    return sum;
  };
  return Float32Array.from({ length }, () => DEVIATION * normal());
}

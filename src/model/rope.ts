import type { Engine, Tensor } from '../engine/engine.ts';
import type { LlamaConfig } from './config.ts';

/** Elementary functions that give the same bits on every host, unlike those of Math. */
export interface ScalarMath {
  exp(x: number): number;
  log(x: number): number;
  sin(x: number): number;
  cos(x: number): number;
}

/** Tables of rotary position embedding, each `[length, headDim / 2]`. */
export interface RopeTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly length: number;
}

/** cos and sin of position · θ^(−2i/d) (RoFormer, Su et al. 2021, eq. 15), in f64 before they are rounded. */
export function ropeTables(
  engine: Engine,
  config: LlamaConfig,
  length: number,
  math: ScalarMath,
): RopeTables {
  const half = config.headDim / 2;
  const logTheta = math.log(config.ropeTheta);
  const cos = new Float32Array(length * half);
  const sin = new Float32Array(length * half);
  for (let i = 0; i < half; i++) {
    const frequency = math.exp((-2 * i * logTheta) / config.headDim);
    for (let position = 0; position < length; position++) {
      cos[position * half + i] = math.cos(position * frequency);
      sin[position * half + i] = math.sin(position * frequency);
    }
  }
  return { cos: engine.upload(cos, [length, half]), sin: engine.upload(sin, [length, half]), length };
}

import type { Engine, Tensor } from '../engine/engine.ts';
import type { LlamaConfig } from './config.ts';
import type { RopeConfig } from './rope_config.ts';

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

/** cos and sin of position · frequency (RoFormer, Su et al. 2021, eq. 15), in f64 before they are rounded. */
export function ropeTables(
  engine: Engine,
  config: LlamaConfig,
  length: number,
  math: ScalarMath,
): RopeTables {
  const frequencies = ropeFrequencies(config.rope, config.headDim, math);
  const half = frequencies.length;
  const cos = new Float32Array(length * half);
  const sin = new Float32Array(length * half);
  frequencies.forEach((frequency, i) => {
    for (let position = 0; position < length; position++) {
      cos[position * half + i] = math.cos(position * frequency);
      sin[position * half + i] = math.sin(position * frequency);
    }
  });
  return { cos: engine.upload(cos, [length, half]), sin: engine.upload(sin, [length, half]), length };
}

/** Radians per position, `[headDim / 2]`: θ^(−2i/d), scaled. */
export function ropeFrequencies({ theta, scaling }: RopeConfig, headDim: number, math: ScalarMath): number[] {
  const logTheta = math.log(theta);
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = math.exp((-2 * i * logTheta) / headDim);
    if (!scaling) return frequency;
    const slow = frequency / scaling.factor;
    if (scaling.type === 'linear') return slow;
    const { originalPositions, lowFactor, highFactor } = scaling;
    // Turns that this dimension makes within the positions of the first training.
    const turns = (originalPositions * frequency) / (2 * Math.PI);
    const fast = Math.min(1, Math.max(0, (turns - lowFactor) / (highFactor - lowFactor)));
    return (1 - fast) * slow + fast * frequency;
  });
}

/** What the engine's tests share: devices, reproducible inputs, and comparison with the oracle. */
import { expect } from 'vitest';
import type { Engine, Tensor } from '../../src/engine/engine.ts';
import { messageOf } from '../../src/errors.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';
import { values } from './values.ts';
import { type EngineName, variants } from './variants.ts';

/** Why there is no WebGPU here, or undefined. */
export const noGpu: string | undefined = await requestDevice().then(
  ({ device }) => {
    device.destroy();
    return undefined;
  },
  (error) => {
    console.warn(`Skipping tests of the WebGPU engine: ${messageOf(error)}`);
    return messageOf(error);
  },
);

/** Engines that can be opened here: the CPU's everywhere, and WebGPU once or in each of its variants. */
export const engines: readonly EngineName[] = ['cpu', ...(noGpu ? [] : [variants[0]])];
export const engineVariants: readonly EngineName[] = ['cpu', ...(noGpu ? [] : variants)];

export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  absolute: number,
  relative: number,
): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const allowed = absolute + relative * Math.abs(expected[i]);
    if (!(Math.abs(actual[i] - expected[i]) <= allowed)) {
      throw new Error(`element ${i}: expected ${expected[i]} ± ${allowed}, got ${actual[i]}`);
    }
  }
}

/** Runs `program` on `engine` and on the f64 oracle and compares the tensors it returns. */
export async function expectOracle(
  engine: Engine,
  program: (engine: Engine) => Tensor[],
  { absolute = 1e-6, relative = 1e-5 } = {},
): Promise<void> {
  const actual = await Promise.all(program(engine).map((tensor) => values(engine, tensor)));
  const oracle = new ReferenceEngine();
  program(oracle).forEach((tensor, i) => {
    expectClose(actual[i], oracle.values(tensor), absolute, relative);
  });
}

/**
 * Central differences in f64 of Σ weight · output with respect to each element of `inputs[which]`: what a backward
 * operation must give for dout = weight.
 */
export function differences(
  inputs: readonly { data: Float32Array; shape: readonly number[] }[],
  which: number,
  outShape: readonly number[],
  weight: Float32Array,
  forward: (engine: Engine, out: Tensor, inputs: Tensor[]) => void,
): Float64Array {
  const engine = new ReferenceEngine();
  const tensors = inputs.map(({ data, shape }) => engine.upload(data, shape));
  const out = engine.tensor(outShape);
  const point = engine.values(tensors[which]);
  const step = 1e-5;
  const at = (index: number, value: number): number => {
    engine.assign(tensors[which], point.with(index, value));
    forward(engine, out, tensors);
    return engine.values(out).reduce((sum, each, i) => sum + each * weight[i], 0);
  };
  return Float64Array.from(point, (x, i) => (at(i, x + step) - at(i, x - step)) / (2 * step));
}

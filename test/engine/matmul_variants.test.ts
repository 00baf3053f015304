import { describe, expect, test } from 'vitest';
import { quantize } from '../../src/engine/quantize.ts';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { probeMatmul } from '../../src/engine/webgpu/probe.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { decodeWeights } from '../support/weight_formats.ts';
import { Inputs } from './inputs.ts';
import { noGpu } from './support.ts';

const GPU = { engine: 'webgpu', vendor: '', device: '', description: 'a GPU' };
const SHAPES = [
  [64, 64, 16],
  [65, 132, 36],
  [200, 68, 52],
] as const;

describe.skipIf(noGpu)('ways of computing large products', () => {
  test('give the same bits', async () => {
    const results = [];
    for (const variant of ['registers', 'shared'] as const) {
      const { device } = await requestDevice();
      const engine = createWebGpuEngine(device, GPU, { matmul: variant });
      for (const [m, n, k] of SHAPES) {
        for (const transposeB of [false, true]) {
          for (const accumulate of [false, true]) {
            const inputs = new Inputs('matmul');
            const a = engine.upload(inputs.floats(m * k), [m, k]);
            const b = engine.upload(inputs.floats(k * n), transposeB ? [n, k] : [k, n]);
            const out = engine.upload(inputs.floats(m * n), [m, n]);
            engine.matmul(out, a, b, { transposeB, accumulate, scale: 0.7 });
            results.push(await engine.read(out));
          }
        }
      }
      engine.destroy();
    }
    const half = results.length / 2;
    expect(results.slice(half)).toEqual(results.slice(0, half));
  });

  test('give the bits of the f32 for weights in a format, and for a view of them', async () => {
    const { device } = await requestDevice();
    const engine = createWebGpuEngine(device, GPU, { matmul: 'shared' });
    const [m, rows, width] = [70, 128, 68];
    for (const format of ['f16', 'bf16', 'nf4'] as const) {
      const inputs = new Inputs(`shared ${format}`);
      const bytes = quantize(inputs.floats(rows * width), format);
      const values = decodeWeights(bytes, rows * width, format);
      const frozen = engine.uploadWeights(bytes, [rows, width], format);
      const view = engine.view(frozen, 64 * width, [64, width]);
      for (const [weights, plain] of [
        [frozen, engine.upload(values, [rows, width])],
        [view, engine.upload(values.slice(64 * width), [64, width])],
      ]) {
        const n = weights.shape[0];
        const x = engine.upload(inputs.floats(m * width), [m, width]);
        const dout = engine.upload(inputs.floats(m * n), [m, n]);
        const [actual, expected] = [weights, plain].map((weight) => {
          const [y, dx] = [engine.tensor([m, n]), engine.tensor([m, width])];
          engine.matmul(y, x, weight, { transposeB: true });
          engine.matmul(dx, dout, weight);
          return [y, dx];
        });
        for (const i of [0, 1]) expect(await engine.read(actual[i])).toEqual(await engine.read(expected[i]));
      }
    }
    engine.destroy();
  });

  test('one is found for a device, and a driver on the CPU is not put to the test', async () => {
    const { device, info } = await requestDevice();
    expect(await probeMatmul(device, { ...info, description: 'SwiftShader' })).toBe('registers');
    expect(['registers', 'shared']).toContain(await probeMatmul(device, GPU));
    device.destroy();
  });
});

import { describe, expect, test } from 'vitest';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { probeMatmul } from '../../src/engine/webgpu/probe.ts';
import { requestDevice } from '../../src/host/gpu.ts';
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
      const engine = createWebGpuEngine(device, GPU, variant);
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

  test('one is found for a device, and a driver on the CPU is not put to the test', async () => {
    const { device, info } = await requestDevice();
    expect(await probeMatmul(device, { ...info, description: 'SwiftShader' })).toBe('registers');
    expect(['registers', 'shared']).toContain(await probeMatmul(device, GPU));
    device.destroy();
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { quantize } from '../../src/engine/quantize.ts';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { isOffered, probeMatmul } from '../../src/engine/webgpu/probe.ts';
import { openEngine } from '../../src/host/device.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { diskProbeCache } from '../../src/host/probe_cache.ts';
import { decodeWeights } from '../support/weight_formats.ts';
import { Inputs } from './inputs.ts';
import { noGpu } from './support.ts';

const GPU = { engine: 'webgpu', vendor: '', device: '', description: 'a GPU' };
const SHAPES = [
  [64, 64, 16],
  [65, 132, 36],
  [200, 68, 52],
  [70, 260, 36],
  [64, 516, 20],
  // So many rows that it takes the largest tiles.
  [32_642, 68, 20],
] as const;
const SAME = ['registers', 'shared', 'subgroup'] as const;

describe.skipIf(noGpu)('ways of computing large products', () => {
  test('give the same bits', async () => {
    const results: Buffer[] = [];
    for (const variant of SAME) {
      const { device } = await requestDevice();
      if (!isOffered(device, variant)) continue;
      const ofVariant: Buffer[] = [];
      const engine = createWebGpuEngine(device, GPU, { matmul: variant });
      for (const [m, n, k] of SHAPES) {
        for (const transposeB of [false, true]) {
          for (const accumulate of m > 1000 ? [true] : [false, true]) {
            const inputs = new Inputs('matmul');
            const a = engine.upload(inputs.floats(m * k), [m, k]);
            const b = engine.upload(inputs.floats(k * n), transposeB ? [n, k] : [k, n]);
            const out = engine.upload(inputs.floats(m * n), [m, n]);
            engine.matmul(out, a, b, { transposeB, accumulate, scale: 0.7 });
            ofVariant.push(Buffer.from((await engine.read(out)).buffer));
          }
        }
      }
      engine.destroy();
      results.push(Buffer.concat(ofVariant));
    }
    expect(results.length).toBeGreaterThan(1);
    for (const other of results) expect(other.equals(results[0])).toBe(true);
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

  test('half precision comes close, where a device has it', async () => {
    const { device } = await requestDevice();
    if (isOffered(device, 'half')) {
      const [m, n, k] = [70, 132, 260];
      const inputs = new Inputs('half');
      const [left, right] = [inputs.floats(m * k), inputs.floats(k * n)];
      const engine = createWebGpuEngine(device, GPU, { matmul: 'half' });
      const out = engine.tensor([m, n]);
      engine.matmul(out, engine.upload(left, [m, k]), engine.upload(right, [k, n]));
      const found = await engine.read(out);
      found.forEach((value, i) => {
        const [row, column] = [Math.floor(i / n), i % n];
        let [sum, size] = [0, 0];
        for (let j = 0; j < k; j++) {
          const product = left[row * k + j] * right[j * n + column];
          sum += product;
          size += Math.abs(product);
        }
        expect(Math.abs(value - sum)).toBeLessThan(size * 2 ** -9);
      });
    } else {
      await expect(openEngine('webgpu', { half: true })).rejects.toThrow(
        'products in half precision: expected a GPU with shader-f16, got ',
      );
    }
    device.destroy();
  });

  test('what was found for a device is found again in the next process', async () => {
    const home = mkdtempSync(join(tmpdir(), 'dualign-probe-'));
    const before = process.env.XDG_CACHE_HOME;
    process.env.XDG_CACHE_HOME = home;
    try {
      const { device } = await requestDevice();
      const found = await probeMatmul(device, GPU, diskProbeCache());
      expect(SAME).toContain(found);
      const gone = { features: device.features } as GPUDevice;
      expect(await probeMatmul(gone, GPU, diskProbeCache())).toBe(found);
      const other = probeMatmul(gone, { ...GPU, device: 'another' }, diskProbeCache());
      await expect(other).rejects.toThrow();
      device.destroy();
      writeFileSync(join(home, 'dualign/probe.json'), 'not JSON');
      expect(diskProbeCache()!.get('anything')).toBeUndefined();
      diskProbeCache()!.set('anything', 'shared');
      expect(diskProbeCache()!.get('anything')).toBe('shared');
    } finally {
      if (before === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = before;
      rmSync(home, { recursive: true });
    }
  });

  test.each([
    ['gives other bits', 'return;'],
    ['the driver refuses', 'nonsense;'],
  ])('what %s is not used, however fast it is', async (_, statement) => {
    const { device } = await requestDevice();
    const create = device.createShaderModule.bind(device);
    device.createShaderModule = (descriptor) => {
      const { label, code } = descriptor;
      const spoilt = code.replace(/ {2}let tiles = /, `  if (params.n > 0u) { ${statement} }$&`);
      return create(
        /^matmul_(shared|subgroup)/.test(label ?? '') ? { ...descriptor, code: spoilt } : descriptor,
      );
    };
    const cache = new Map<string, string>();
    expect(await probeMatmul(device, GPU, cache)).toBe('registers');
    // The device is as good as before.
    const engine = createWebGpuEngine(device, GPU);
    const ones = engine.upload(new Float32Array(16).fill(1), [4, 4]);
    engine.add(ones, ones);
    expect(await engine.read(ones)).toEqual(new Float32Array(16).fill(2));
    engine.destroy();
  });

  test('a driver on the CPU is not put to the test', async () => {
    const software = { ...GPU, description: 'SwiftShader' };
    expect(await probeMatmul({} as GPUDevice, software)).toBe('registers');
  });
});

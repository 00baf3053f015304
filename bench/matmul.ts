/**
 * GFLOP/s of each way of computing products on this host's WebGPU device, in turns in one run.
 *
 *     node bench/matmul.ts [--side 4096] [--peak GFLOP/s] [--json]
 *
 * `--peak` is the device's f32 peak, from its data sheet: with it, the fraction of it. A driver that runs shaders on the CPU
 * wants a small side (512).
 */
import { parseArgs } from 'node:util';
import type { Engine } from '../src/engine/engine.ts';
import { createWebGpuEngine } from '../src/engine/webgpu/engine.ts';
import { NEEDED_FEATURES } from '../src/engine/webgpu/matmul.ts';
import { isOffered, probeMatmul } from '../src/engine/webgpu/probe.ts';
import { requestDevice } from '../src/host/gpu.ts';

const { values: given } = parseArgs({
  options: {
    side: { type: 'string', default: '4096' },
    peak: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const side = Number(given.side);
const peak = given.peak === undefined ? undefined : Number(given.peak);
const ROUNDS = 5;
const FORMS = [
  ['NT', { transposeB: true }],
  ['NN', {}],
  ['TN', { transposeA: true }],
] as const;

const { device, info } = await requestDevice();
const gpu = { engine: 'webgpu', vendor: '', device: '', description: 'a GPU' };
const engines: readonly [string, Engine][] = [
  ['registers, small tiles', createWebGpuEngine(device, gpu, { matmul: 'registers' })],
  [
    'registers, large tiles',
    createWebGpuEngine(device, { ...gpu, description: 'SwiftShader' }, { matmul: 'registers' }),
  ],
  ['shared by a workgroup', createWebGpuEngine(device, gpu, { matmul: 'shared' })],
  ...(['subgroup', 'half'] as const).flatMap((matmul): [string, Engine][] => {
    const name = matmul === 'half' ? 'shared, half precision' : 'shared by a subgroup';
    if (isOffered(device, matmul)) return [[name, createWebGpuEngine(device, gpu, { matmul })]];
    if (!given.json) console.log(`${name}: left out, this device has no ${NEEDED_FEATURES[matmul]}`);
    return [];
  }),
];
const chosen = await probeMatmul(device, info);
if (!given.json)
  console.log(`${info.description} (${info.vendor}), ${side}³ f32; the probe takes: ${chosen}`);

const rates = new Map<string, number>();
const data = new Float32Array(side * side).fill(0.5);
for (const [name, engine] of engines) {
  const [a, b, out] = [
    engine.upload(data, [side, side]),
    engine.upload(data, [side, side]),
    engine.tensor([side, side]),
  ];
  for (const [form, options] of FORMS) {
    // The first round compiles.
    for (let round = 0; round <= ROUNDS; round++) {
      const start = performance.now();
      engine.matmul(out, a, b, options);
      engine.flush();
      await device.queue.onSubmittedWorkDone();
      const rate = (2e-6 * side ** 3) / (performance.now() - start);
      const key = `${name}, ${form}`;
      if (round > 0) rates.set(key, Math.max(rates.get(key) ?? 0, rate));
    }
  }
  engine.free(a, b, out);
}
if (given.json) console.log(JSON.stringify({ chosen, rates: Object.fromEntries(rates) }));
for (const [name, rate] of given.json ? [] : rates) {
  const share = peak ? `${((100 * rate) / peak).toFixed(0).padStart(5)} % of peak` : '';
  console.log(`${name.padEnd(32)}${rate.toFixed(2).padStart(10)} GFLOP/s${share}`);
}
engines[0][1].destroy();

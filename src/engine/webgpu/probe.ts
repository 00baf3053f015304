import type { DeviceInfo } from '../engine.ts';
import { runsOnCpu } from './engine.ts';
import { Kernels } from './kernels.ts';
import { type MatmulVariant, matmulOperation } from './matmul.ts';
import { GpuTensor } from './memory.ts';
import { Recorder } from './recorder.ts';

const VARIANTS: readonly MatmulVariant[] = ['registers', 'shared'];
const SIDE = 512;
/** Runs of each variant, the first of which compiles; the best counts. */
const RUNS = 4;
const PRODUCTS = 4;

const found = new Map<string, Promise<MatmulVariant>>();

/** The faster way of large products on a device, tried once in a process for each kind of device. */
export function probeMatmul(device: GPUDevice, info: DeviceInfo): Promise<MatmulVariant> {
  // Barriers cost a driver that runs shaders on the CPU far more than shared loads save.
  if (runsOnCpu(info)) return Promise.resolve('registers');
  const key = [info.vendor, info.device, info.description].join('\n');
  let variant = found.get(key);
  if (!variant) {
    variant = fastest(device);
    found.set(key, variant);
  }
  return variant;
}

async function fastest(device: GPUDevice): Promise<MatmulVariant> {
  let best: { variant: MatmulVariant; milliseconds: number } | undefined;
  for (const variant of VARIANTS) {
    const milliseconds = await timeMatmul(device, variant);
    if (!best || milliseconds < best.milliseconds) best = { variant, milliseconds };
  }
  return best!.variant;
}

async function timeMatmul(device: GPUDevice, variant: MatmulVariant): Promise<number> {
  const recorder = new Recorder(device);
  const matmul = matmulOperation(recorder, new Kernels(device, false), variant);
  const length = SIDE * SIDE;
  const [out, a, b] = [0, 1, 2].map(
    () => new GpuTensor([SIDE, SIDE], 'f32', recorder.pool.acquire(4 * length), 0, length, false),
  );
  let best = Infinity;
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    for (let i = 0; i < PRODUCTS; i++) matmul(out, a, b, { transposeB: true });
    recorder.flush();
    await device.queue.onSubmittedWorkDone();
    if (run > 0) best = Math.min(best, performance.now() - start);
  }
  for (const { storage } of [out, a, b]) storage.buffer.destroy();
  return best;
}

import { VERSION } from '../../generated/version.ts';
import type { DeviceInfo } from '../engine.ts';
import { runsOnCpu } from './engine.ts';
import { Kernels } from './kernels.ts';
import { type MatmulVariant, matmulOperation, NEEDED_FEATURES } from './matmul.ts';
import { GpuTensor } from './memory.ts';
import { Recorder } from './recorder.ts';

/** Those that give the same bits. */
const VARIANTS: readonly MatmulVariant[] = ['registers', 'shared', 'subgroup'];
const SIDE = 512;
/** Runs of each variant, the first of which compiles; the best counts. */
const RUNS = 4;
const PRODUCTS = 4;

/** What was found, by kind of device. */
export interface ProbeCache {
  get(key: string): string | undefined;
  set(key: string, variant: string): void;
}

const ofProcess = new Map<string, string>();

/** The fastest way of large products on a device, of those with the same bits: tried once for each kind of device. */
export async function probeMatmul(
  device: GPUDevice,
  info: DeviceInfo,
  cache: ProbeCache = ofProcess,
): Promise<MatmulVariant> {
  // Barriers cost a driver that runs shaders on the CPU far more than shared loads save.
  if (runsOnCpu(info)) return 'registers';
  const offered = VARIANTS.filter((variant) => isOffered(device, variant));
  const key = [VERSION, info.vendor, info.device, info.description, offered.join('|')].join(', ');
  const known = offered.find((variant) => variant === cache.get(key));
  if (known) return known;
  const found = await fastest(device, offered);
  cache.set(key, found);
  return found;
}

/** Whether a device, as it was opened, has what a variant needs. */
export function isOffered({ features }: GPUDevice, variant: MatmulVariant): boolean {
  const needed = NEEDED_FEATURES[variant];
  return needed === undefined || features.has(needed);
}

async function fastest(device: GPUDevice, variants: readonly MatmulVariant[]): Promise<MatmulVariant> {
  let best: { variant: MatmulVariant; milliseconds: number } | undefined;
  for (const variant of variants) {
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

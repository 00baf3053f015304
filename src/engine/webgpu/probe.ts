import { VERSION } from '../../generated/version.ts';
import { keyOf, Random } from '../../random.ts';
import type { DeviceInfo } from '../engine.ts';
import { runsOnCpu } from './engine.ts';
import { Kernels } from './kernels.ts';
import { type MatmulVariant, matmulOperation, NEEDED_FEATURES } from './matmul.ts';
import { type GpuTensor, viewOf } from './memory.ts';
import { Recorder } from './recorder.ts';
import { tensorOperations } from './tensors.ts';

/** Those that give the same bits, the first of them everywhere. */
const VARIANTS: readonly MatmulVariant[] = ['registers', 'shared', 'subgroup'];
const SIDE = 512;
/** Side of products that take the largest tiles. */
const LARGE = 2048;
/** Runs of each variant, the first of which compiles; the best counts. */
const RUNS = 4;
const PRODUCTS = 4;

/** What was found, by kind of device. */
export interface ProbeCache {
  get(key: string): string | undefined | Promise<string | undefined>;
  set(key: string, variant: string): unknown;
}

const ofProcess = new Map<string, string>();

/** The fastest way of large products on a device, of those that give the same bits there: tried once for each kind of device. */
export async function probeMatmul(
  device: GPUDevice,
  info: DeviceInfo,
  cache: ProbeCache = ofProcess,
): Promise<MatmulVariant> {
  // Barriers cost a driver that runs shaders on the CPU far more than shared loads save.
  if (runsOnCpu(info)) return 'registers';
  const offered = VARIANTS.filter((variant) => isOffered(device, variant));
  const key = [VERSION, info.vendor, info.device, info.description, offered.join('|')].join(', ');
  const cached = await cache.get(key);
  const known = offered.find((variant) => variant === cached);
  if (known) return known;
  const found = await fastest(device, offered);
  await cache.set(key, found);
  return found;
}

/** Whether a device, as it was opened, has what a variant needs. */
export function isOffered({ features }: GPUDevice, variant: MatmulVariant): boolean {
  const needed = NEEDED_FEATURES[variant];
  return needed === undefined || features.has(needed);
}

/** A variant that a driver refuses, or whose sums it fuses in a way of their own, is left out. */
async function fastest(
  device: GPUDevice,
  [first, ...others]: readonly MatmulVariant[],
): Promise<MatmulVariant> {
  const expected = await tryMatmul(device, first);
  let best = { variant: first, ...expected };
  for (const variant of others) {
    const found = await tryMatmul(device, variant, 2 * best.milliseconds).catch(() => undefined);
    if (!found || found.milliseconds >= best.milliseconds) continue;
    const same = found.words.every((words, i) => words.every((word, j) => word === expected.words[i][j]));
    if (same) best = { variant, ...found };
  }
  return best.variant;
}

/**
 * Time of a few products of `[512, 512]`, and words of one with B as it is and of one with B transposed, and of two that are
 * large enough for the kernels of large ones.
 */
async function tryMatmul(device: GPUDevice, variant: MatmulVariant, hopeless = Infinity) {
  const recorder = new Recorder(device);
  const { tensor, upload } = tensorOperations(recorder);
  const matmul = matmulOperation(recorder, new Kernels(device, false), variant);
  const random = new Random(keyOf(0, 'probe'));
  const values = () => Float32Array.from({ length: SIDE * SIDE }, () => 2 * random.uniform() - 1);
  const [a, b] = [values(), values()].map((data) => upload(data, [SIDE, SIDE]) as GpuTensor);
  const outs = [0, 1].map(() => tensor([SIDE, SIDE]) as GpuTensor);
  let milliseconds = Infinity;
  for (let run = 0; run < RUNS && (run < 2 || milliseconds < hopeless); run++) {
    const start = performance.now();
    for (let i = 0; i < PRODUCTS; i++) matmul(outs[i % 2], a, b, { transposeB: i % 2 === 1 });
    recorder.flush();
    await device.queue.onSubmittedWorkDone();
    if (run > 0) milliseconds = Math.min(milliseconds, performance.now() - start);
  }
  const long = [LARGE, SIDE / 16];
  const [left, right] = [a, b].map((values) => viewOf(values, 0, long));
  const large = tensor([LARGE, LARGE]) as GpuTensor;
  const across = viewOf(b, 0, [SIDE / 16, LARGE]);
  for (const [i, [factor, transposeB]] of [[across, false] as const, [right, true] as const].entries()) {
    matmul(large, left, factor, { transposeB });
    outs.push(tensor([SIDE, SIDE]) as GpuTensor);
    // A part from the middle of the rows.
    recorder.copy(outs[2 + i], viewOf(large, (LARGE * LARGE) / 2, [SIDE, SIDE]));
  }
  const bytes = await Promise.all(outs.map((out) => recorder.read(out)));
  for (const { storage } of [a, b, large, ...outs]) storage.buffer.destroy();
  return { milliseconds, words: bytes.map((words) => new Uint32Array(words)) };
}

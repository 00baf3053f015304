import type { Scratch } from '../pool.ts';
import type { Kernels, ShareName } from '../wasm.ts';

/** Responses from which on the time of a job is worth waking threads for: about half a millisecond of one thread's. */
const LEAST_SHARED = 1 << 18;

const NO_LANES: Scratch = { start: 0, size: 0 };

/** Whether a job over so many responses is worth sharing here. */
export function isShared({ pool }: Kernels, responses: number): boolean {
  return pool !== undefined && responses >= LEAST_SHARED;
}

/**
 * Runs a kernel over all of `blocks` blocks of rows, which hold about `responses` responses, on this thread alone or
 * shared among all. `lanes` is what threads have of their own.
 */
export function share(
  kernels: Kernels,
  kernel: ShareName,
  blocks: number,
  responses: number,
  args: readonly number[],
  lanes: Scratch = NO_LANES,
): void {
  const { exports, pool } = kernels;
  if (pool && blocks > 1 && isShared(kernels, responses)) pool.run(exports, kernel, blocks, args, lanes);
  else exports[kernel](...args, lanes.start, 0, blocks);
}

/** A pointer of its own for each thread that may share jobs over so many responses: one that `create` gives. */
export function createLanes(kernels: Kernels, responses: number, create: () => number): Scratch {
  const { exports, pool } = kernels;
  const count = pool && isShared(kernels, responses) ? pool.size : 1;
  const pointers = Array.from({ length: count }, create);
  const start = exports.allocate(4 * count);
  if (start === 0 || pointers.includes(0)) return NO_LANES;
  new Int32Array(exports.memory.buffer, start >>> 0, count).set(pointers);
  return { start, size: 4 };
}

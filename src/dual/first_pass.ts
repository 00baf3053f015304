import type { Kernels } from '../wasm.ts';
import type { Box } from './box.ts';
import type { Kept } from './kept.ts';
import { evaluationWidth } from './newton.ts';
import { granted, type Pass, type RawKernels } from './raw_kernels.ts';
import { BLOCK, isLargest, type Statistics, statisticsOf, statisticsWidth } from './table.ts';

/** What a pass over all rows tells. */
export interface Taken {
  readonly prompts: number;
  /** As `Statistics`, in the order of the kernels. */
  readonly values: Float64Array;
  /** Means of each prompt's safety scores, if wanted. */
  readonly means: readonly Float64Array[];
  /** Sums of an evaluation at the centre of the box, if there was one. */
  readonly evaluated?: Float64Array;
}

/** What to do with a pass beside taking statistics. */
export interface Wishes {
  /** Where λ should be; nothing is kept or evaluated without. */
  readonly box?: Box;
  readonly beta: number;
  /** Where to keep the responses that policies in the box use. */
  readonly kept?: Kept;
  /** Whether to evaluate at the centre of the box. */
  readonly evaluates?: boolean;
  readonly means?: boolean;
}

/** Takes the statistics of all rows and what else is wished for. */
export async function take(
  kernels: Kernels,
  raw: RawKernels,
  constraints: number,
  pass: Pass,
  { box, beta, kept, evaluates = false, means: wantsMeans = false }: Wishes,
): Promise<Taken> {
  const { exports } = kernels;
  const width = statisticsWidth(constraints);
  const floats = (pointer: number, length: number) =>
    new Float64Array(exports.memory.buffer, pointer >>> 0, length);
  const centre = granted(exports.allocate(16 * constraints));
  const radius = centre + 8 * constraints;
  if (box) floats(centre, 2 * constraints).set([...box.centre, ...box.radius]);
  let room = { at: 0, blocks: 0 };
  const evaluations: Float64Array[] = [];
  const sums: Float64Array[] = [];
  const means: Float64Array[] = [];
  let prompts = 0;
  await pass.each((blocks) => {
    const { count, rows } = blocks;
    const evaluation = evaluates ? evaluationWidth(constraints) : 0;
    const size = width + evaluation + (wantsMeans ? BLOCK * constraints : 0);
    if (count > room.blocks) room = { at: granted(exports.allocate(8 * size * count)), blocks: count };
    const partial = evaluates ? room.at + 8 * width * room.blocks : 0;
    const meansAt = wantsMeans ? room.at + 8 * (width + evaluation) * room.blocks : 0;
    const keeps = box && kept && !kept.full;
    const args = [room.at, meansAt, partial, centre, keeps ? radius : 0, beta];
    raw.run('takeShare', blocks, args);
    sums.push(...parted(floats(room.at, width * count), width));
    if (evaluates) evaluations.push(...parted(floats(partial, evaluation * count), evaluation));
    for (let row = 0; wantsMeans && row < rows; row += BLOCK) {
      means.push(floats(meansAt + 8 * row * constraints, constraints * Math.min(BLOCK, rows - row)).slice());
    }
    if (keeps) kept.add(blocks);
    prompts += rows;
  });
  return {
    prompts,
    values: meansOf(sums, prompts),
    means: byScore(means, prompts, constraints),
    ...(evaluates ? { evaluated: treeSum(evaluations) } : {}),
  };
}

/** A copy of numbers, in parts of `width`. */
function parted(values: Float64Array, width: number): Float64Array[] {
  const copy = values.slice();
  return Array.from({ length: copy.length / width }, (_, i) => copy.subarray(i * width, (i + 1) * width));
}

/** The means over rows from sums over blocks of them; some statistics are the largest of all rows. */
function meansOf(sums: readonly Float64Array[], prompts: number): Float64Array {
  const largest = sums[0].slice();
  for (const block of sums) {
    for (let i = 0; i < largest.length; i++) largest[i] = Math.max(largest[i], block[i]);
  }
  return treeSum(sums).map((sum, i) => (isLargest(i) ? largest[i] : sum / prompts));
}

function byScore(blocks: readonly Float64Array[], prompts: number, constraints: number): Float64Array[] {
  if (blocks.length === 0) return [];
  return Array.from({ length: constraints }, (_, j) => {
    const out = new Float64Array(prompts);
    for (const [block, means] of blocks.entries()) {
      const rows = means.length / constraints;
      out.set(means.subarray(j * rows, (j + 1) * rows), block * BLOCK);
    }
    return out;
  });
}

/** `statistics` with the centring of what was kept, which lacks the extremes of its rows. */
export function centredOn(statistics: Statistics, kept: Taken): Statistics {
  const { rewardTop, middle } = statisticsOf(kept.values, statistics.middle.length, () => 0);
  return { ...statistics, rewardTop, middle };
}

/** Adds up by the tree of assembly/dual/blocks.ts. */
function treeSum(parts: readonly Float64Array[]): Float64Array {
  const sums = parts.map((part) => part.slice());
  for (let stride = 1; stride < sums.length; stride *= 2) {
    for (let i = 0; i + stride < sums.length; i += 2 * stride) {
      for (const [c, value] of sums[i + stride].entries()) sums[i][c] += value;
    }
  }
  return sums[0];
}

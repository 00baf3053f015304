import type { Key } from '../random.ts';
import { columnsOf } from './described.ts';
import type { Passes } from './passes.ts';
import type { DualProblem } from './problem.ts';
import type { PrunedTable } from './pruning.ts';
import { createLanes, share } from './share.ts';
import { leastOf, unitOf } from './table.ts';

/** Resamples of the prompts to draw. */
export interface Resampling {
  readonly key: Key;
  readonly replicates: number;
  /** Whether to solve them, or only to draw them. */
  readonly solved: boolean;
}

/** Numbers of a replicate: mean columns, thresholds asked, whether solved, value, λ, mean columns there. */
export const replicateWidth = (constraints: number): number =>
  2 * columnsOf(constraints) + 2 * constraints + 2;

/**
 * Resamples of the prompts, from `start`, at which the rows of `passes` stand described, on the pruned table where there
 * is one. Returns f64[replicates][replicateWidth], as assembly/dual/replicate.ts writes it.
 */
export function replicate(
  { kernels, table, statistics, rows }: Passes,
  pruned: PrunedTable | undefined,
  { beta, thresholds, relative }: Pick<DualProblem, 'beta' | 'thresholds' | 'relative'>,
  start: readonly number[],
  { key: [key0, key1], replicates, solved }: Resampling,
): Float64Array {
  const { wasm } = table;
  const at = wasm.mark();
  const none = thresholds.map(() => 0);
  const settings = [
    start,
    thresholds,
    thresholds.map((_, j) => (relative?.[j] ? 1 : 0)),
    statistics.safety,
    statistics.safetyRange,
    pruned?.centre ?? none,
    pruned?.radius ?? none,
  ].flat();
  const settingsAt = table.granted(wasm.allocate(8 * settings.length));
  table.floats(settingsAt, settings.length).set(settings);
  const width = replicateWidth(thresholds.length);
  const out = table.granted(wasm.allocate(8 * width * replicates));
  const responses = table.elements * replicates;
  const lanes = createLanes(kernels, responses, () => wasm.createBench(table.scores));
  table.granted(lanes.start);
  const unit = unitOf(statistics, beta);
  const least = leastOf(statistics, beta);
  const args = [table.scores, pruned?.scores ?? 0, rows, settingsAt, beta, unit, least, key0, key1];
  share(kernels, 'replicateShare', replicates, responses, [...args, solved ? 1 : 0, out], lanes);
  const found = table.floats(out, width * replicates).slice();
  wasm.release(at);
  return found;
}

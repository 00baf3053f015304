import { describePolicies, type ScoreTable, solveDual } from '../dual/index.ts';
import type { EffectiveSampleSize } from '../dual/solution.ts';
import { tableOf } from './dual.ts';
import type { ScoreRow } from './rows.ts';

export interface Redualized {
  readonly lambda: readonly number[];
  /** Means of the samples themselves, and what the new λ should make of them. */
  readonly achieved: { readonly reward: number; readonly safety: readonly number[] };
  readonly predicted: { readonly reward: number; readonly safety: readonly number[] };
  /** What was aimed at: the thresholds, or as much of the way there as these samples reach. */
  readonly aim: readonly number[];
  /** Of the new policy on these samples. */
  readonly ess: EffectiveSampleSize;
}

/** Halvings of the way to the thresholds before λ is left as it is. */
const HALVINGS = 8;

/**
 * λ again, from samples of the policy π trained with `previous`. What DPO made of λ is taken to answer to another λ as
 * the optimum would, π_λ ∝ π·exp((λ − previous)ᵀg/β): the dual of these samples, with the reward −previousᵀg. Its gradient
 * at `previous` is what π achieved less the thresholds, so the fixed point meets them however far training stays from the
 * optimum; exact importance weights π_ref/π would give λ* of the first round again, and leave that gap open.
 */
export async function redualize(
  rows: readonly ScoreRow[],
  previous: readonly number[],
  beta: number,
  thresholds: readonly number[],
): Promise<Redualized> {
  const table = tableOf(rows);
  const n = table.reward.length;
  const priced = Float64Array.from(table.reward, (_, i) =>
    previous.reduce((sum, price, j) => sum - price * table.safety[j * n + i], 0),
  );
  // The reward is a score like the others to this dual, of no price.
  const scores: ScoreTable = { ...table, reward: priced, safety: concat(table.safety, table.reward) };
  const means = async (lambda: readonly number[]) => {
    const [{ safety }] = await describePolicies(scores, beta, [[...lambda, 0]]);
    return { reward: safety.at(-1)!, safety: safety.slice(0, -1) };
  };
  const achieved = await means(previous);
  for (let part = 1, tried = 0; tried < HALVINGS; part /= 2, tried++) {
    const aim = thresholds.map((bound, j) => bound - (1 - part) * Math.max(0, bound - achieved.safety[j]));
    const solution = await solveDual({ ...table, reward: priced, beta, thresholds: aim });
    if (solution.status !== 'optimal') continue;
    const { lambda, ess } = solution;
    return { lambda, achieved, predicted: await means(lambda), aim, ess };
  }
  const unmoved = { median: count(table), mean: count(table), p10: count(table), p90: count(table) };
  return { lambda: previous, achieved, predicted: achieved, aim: achieved.safety, ess: unmoved };
}

/** Responses a prompt, the most there are. */
function count({ responses }: ScoreTable): number {
  return typeof responses === 'number' ? responses : responses.reduce((most, k) => Math.max(most, k), 0);
}

function concat(a: ScoreTable['safety'], b: ScoreTable['reward']): Float64Array {
  const all = new Float64Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

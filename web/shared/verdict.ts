import type { DualSolution, Infeasible, Solved } from '../../src/dual/solution.ts';
import { list, shown } from './numbers.ts';

/** What the verdict is read from: a solution, or a place on the curve between two of them. */
export type Outcome =
  | Pick<Infeasible, 'status' | 'reachable' | 'thresholds' | 'reference'>
  | (Pick<Solved, 'status' | 'reference' | 'lambda' | 'expected' | 'kl'> & {
      readonly ess: { readonly median: number };
      /** Undefined where they are still to be computed. */
      readonly lambdaIntervals?: Solved['lambdaIntervals'];
    });

export interface Tile {
  readonly name: string;
  readonly value: string;
  readonly note: string;
}

/** λ* and the verdict in words. */
export interface Verdict {
  readonly tone: 'good' | 'open' | 'bad';
  readonly title: string;
  readonly sentence: string;
  readonly tiles: readonly Tile[];
}

export function verdictOf(outcome: Outcome | DualSolution): Verdict {
  const { status, reference } = outcome;
  if (outcome.status === 'infeasible') {
    const { thresholds, reachable } = outcome;
    return {
      tone: 'bad',
      title: 'Out of reach',
      sentence:
        `No training on these answers reaches ${list(thresholds)}. Each score on its own reaches at most ` +
        `${list(reachable)}; the model as it is has ${list(reference.safety)}.`,
      tiles: [],
    };
  }
  const { lambda, expected, kl, ess, lambdaIntervals } = outcome;
  const good = status === 'optimal';
  const free = good && lambda.every((price) => price === 0);
  const gain = expected.reward - reference.reward;
  const intervals = lambdaIntervals?.map(
    ([low, high]) => `${shown(low)} to ${shown(high ?? Number.POSITIVE_INFINITY)}`,
  );
  return {
    tone: good ? 'good' : 'open',
    title: !good ? 'At the edge of what is within reach' : free ? 'Within reach, at no cost' : 'Within reach',
    sentence:
      `Aligned best, the model has a mean safety of ${list(expected.safety)} (as it was, ${list(reference.safety)}) and ` +
      `${gain >= 0 ? 'gains' : 'loses'} ${shown(Math.abs(gain))} of reward.`,
    tiles: [
      { name: 'Price of safety, λ*', value: list(lambda), note: `95 %: ${intervals?.join('; ') ?? '…'}` },
      { name: 'Reward', value: shown(expected.reward), note: `as it was, ${shown(reference.reward)}` },
      { name: 'Change, KL', value: shown(kl), note: 'from the model as it was' },
      { name: 'Effective samples', value: shown(ess.median), note: 'median of each prompt’s' },
    ],
  };
}

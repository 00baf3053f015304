/** The problems of the golden cases, for hosts that cannot read their file; golden.test.ts holds them against it. */
import type { DualProblem } from '../../src/dual/index.ts';
import { generateScores } from '../support/score_generator.ts';

export interface ProblemSpec {
  readonly seed: number;
  readonly N: number;
  readonly K: number;
  readonly m: number;
  readonly beta: number;
  readonly thresholds: readonly number[];
}

const PAPER = { seed: 1, N: 1000, K: 128, m: 1, beta: 0.1 };
const SECOND = { seed: 2, N: 500, K: 128, m: 1 };

export const GOLDEN_PROBLEMS: readonly ProblemSpec[] = [
  ...[-2, -0.75, 0.5, 1.75, 3, -6, 6].map((threshold) => ({ ...PAPER, thresholds: [threshold] })),
  { ...SECOND, beta: 0.01, thresholds: [0.8] },
  { ...SECOND, beta: 0.5, thresholds: [0.2] },
  { ...SECOND, beta: 1, thresholds: [0.2] },
  { seed: 3, N: 1000, K: 128, m: 2, beta: 0.1, thresholds: [0.5, 1.2] },
  { seed: 4, N: 1000, K: 128, m: 4, beta: 0.1, thresholds: [0.5, 0.5, -1, 0] },
  { seed: 4, N: 1000, K: 128, m: 4, beta: 0.1, thresholds: [0.5, -8, 0.25, 0] },
  { seed: 5, N: 37, K: 19, m: 3, beta: 0.2, thresholds: [-0.5, -0.25, -1] },
  { seed: 6, N: 1, K: 7, m: 1, beta: 0.3, thresholds: [-0.5] },
];

/** Problems with their scores; those that share scores have the same arrays. */
export function* problemsOf(specs: readonly ProblemSpec[]): Generator<DualProblem> {
  const tables = new Map<string, ReturnType<typeof generateScores>>();
  for (const { seed, N, K, m, beta, thresholds } of specs) {
    const key = [seed, N, K, m].join();
    const table = tables.get(key) ?? generateScores(seed, N, K, m);
    tables.set(key, table);
    yield { ...table, beta, thresholds };
  }
}

/**
 * 95 % intervals over the draw of prompts, the responses given, by the delta method (docs/theory.md). λ* minimises a mean
 * over prompts, so each prompt moves it by −H⁻¹·(its gradient), and moves what the optimum achieves both by what it
 * achieves itself and by what that change of λ* does (van der Vaart, Asymptotic Statistics, 1998, theorem 5.21).
 */
import { COLUMN, type DescribedRows } from './described.ts';
import { covarianceOf } from './diagnostics.ts';
import { invert, type Matrix } from './linear.ts';
import type { DualProblem } from './problem.ts';
import type { Interval, Intervals, Solved } from './solution.ts';
import { pairwiseSum } from './sums.ts';

/** 0.975-quantile of the standard normal distribution. */
const Z_95 = 1.959963984540054;

type Problem = Pick<DualProblem, 'beta' | 'thresholds' | 'relative'>;
type Found = Pick<Solved, 'lambda' | 'dual' | 'hessian' | 'expected' | 'kl'>;

/** One number a prompt, as coefficients of the columns of `Rows`. */
type Combination = readonly number[];

/** The described prompts' E[r], KL, E[g_j] and, where a threshold is a margin, reference means, by their covariance. */
class Rows {
  readonly prompts: number;
  readonly reward: Combination;
  readonly kl: Combination;
  /** Each prompt's part of E[g_j], and of the gradient but for a constant. */
  readonly safety: readonly Combination[];
  readonly gradient: readonly Combination[];
  #covariance: Matrix;

  constructor(described: DescribedRows, { thresholds, relative }: Problem) {
    const margins = thresholds.flatMap((_, j) => (relative?.[j] ? [j] : []));
    const columns = [
      described.column(COLUMN.reward),
      described.column(COLUMN.kl),
      ...thresholds.map((_, j) => described.column(COLUMN.safety + j)),
      ...margins.map((j) => described.rowMeans(j)),
    ];
    const one = (at: number) => columns.map((_, i) => (i === at ? 1 : 0));
    const firstMargin = 2 + thresholds.length;
    this.prompts = columns[0].length;
    this.reward = one(0);
    this.kl = one(1);
    this.safety = thresholds.map((_, j) => one(2 + j));
    this.gradient = thresholds.map((_, j) =>
      relative?.[j] ? sum(one(2 + j), [[-1, one(firstMargin + margins.indexOf(j))]]) : one(2 + j),
    );
    this.#covariance = covarianceOf(columns);
  }

  /** Half the interval of a mean over prompts. */
  half(combination: Combination): number {
    let variance = 0;
    for (const [i, a] of combination.entries()) {
      for (const [j, b] of combination.entries()) variance += a * b * this.#covariance[i][j];
    }
    return Z_95 * Math.sqrt(Math.max(0, variance) / this.prompts);
  }
}

function sum(first: Combination, terms: readonly (readonly [number, Combination])[]): Combination {
  return first.map((value, i) => terms.reduce((total, [factor, term]) => total + factor * term[i], value));
}

/** Intervals of λ and of what the solution achieves, whose rows were the last described. */
export function intervalsOf(
  described: DescribedRows,
  problem: Problem,
  solution: Found,
): { lambdaIntervals: Interval[]; intervals: Intervals } {
  const { lambda, dual, hessian, expected, kl } = solution;
  const { beta } = problem;
  const rows = new Rows(described, problem);
  const active = lambda.flatMap((value, j) => (value > 0 ? [j] : []));
  const inverse = active.length > 0 ? invert(active.map((i) => active.map((j) => hessian[i][j]))) : [];
  // How each prompt moves each λ that is not 0, times N.
  const moves = inverse?.map((row) =>
    sum(
      rows.reward.map(() => 0),
      active.map((j, b) => [-row[b], rows.gradient[j]]),
    ),
  );
  // dE[r]/dλ_j, dE[g_i]/dλ_j is the Hessian, and dKL/dλ_j follows from both.
  const rewardSlope = lambda.map((_, j) => {
    const column = described.column(COLUMN.safety + lambda.length + j);
    return pairwiseSum(column) / column.length / beta;
  });
  const klSlope = rewardSlope.map(
    (slope, j) => (slope + lambda.reduce((sum, price, i) => sum + price * hessian[i][j], 0)) / beta,
  );
  const at = (value: number, own: Combination): Interval => {
    if (rows.prompts < 2) return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    const half = rows.half(own);
    return [value - half, value + half];
  };
  const moved = (value: number, own: Combination, slope: readonly number[]): Interval => {
    if (!moves) return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    return at(
      value,
      sum(
        own,
        active.map((j, a) => [slope[j], moves[a]]),
      ),
    );
  };
  // D is at its minimum in λ: to first order it does not see λ* move.
  const values = sum(rows.reward, [
    [-beta, rows.kl],
    ...lambda.map((price, j) => [price, rows.gradient[j]] as const),
  ]);
  return {
    lambdaIntervals: lambda.map((price, j) => {
      if (price === 0) return [0, 0];
      return moves ? positive(at(price, moves[active.indexOf(j)])) : [0, Number.POSITIVE_INFINITY];
    }),
    intervals: {
      optimum: {
        dual: at(dual, values),
        reward: moved(expected.reward, rows.reward, rewardSlope),
        safety: rows.safety.map((own, j) => moved(expected.safety[j], own, hessian[j])),
        kl: positive(moved(kl, rows.kl, klSlope)),
      },
      policy: {
        reward: at(expected.reward, rows.reward),
        safety: rows.safety.map((own, j) => at(expected.safety[j], own)),
        kl: positive(at(kl, rows.kl)),
      },
    },
  };
}

function positive([low, high]: Interval): Interval {
  return [Math.max(0, low), high];
}

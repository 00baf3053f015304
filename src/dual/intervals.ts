/**
 * 95 % intervals over the draw of prompts, the responses given, by the delta method (docs/theory.md). λ* minimises a mean
 * over prompts, so each prompt moves it by −H⁻¹·(its gradient), and moves what the optimum achieves both by what it
 * achieves itself and by what that change of λ* does (van der Vaart, Asymptotic Statistics, 1998, theorem 5.21).
 */
import { covarianceOf, gradientRows } from './diagnostics.ts';
import { invert, type Matrix, multiply } from './linear.ts';
import type { DualProblem } from './problem.ts';
import type { Interval, Intervals, Solved } from './solution.ts';
import { pairwiseSum } from './sums.ts';
import { COLUMN, type DescribedRows } from './workspace.ts';

/** 0.975-quantile of the standard normal distribution. */
const Z_95 = 1.959963984540054;

/**
 * Intervals of each λ: its covariance is H⁻¹·S·H⁻¹/N on the constraints with λ > 0, S the covariance of the rows'
 * gradients `rows`.
 */
export function lambdaIntervals(
  lambda: readonly number[],
  hessian: Matrix,
  rows: readonly Float64Array[],
): Interval[] {
  const prompts = rows[0].length;
  const { active, inverse } = activeInverse(lambda, hessian);
  if (prompts < 2 || !inverse) {
    return lambda.map((value) => (value > 0 ? [0, Number.POSITIVE_INFINITY] : [0, 0]));
  }
  const variance =
    active.length > 0 ? multiply(multiply(inverse, covarianceOf(active.map((j) => rows[j]))), inverse) : [];
  return lambda.map((value, j) => {
    const index = active.indexOf(j);
    if (index < 0) return [0, 0];
    const half = Z_95 * Math.sqrt(Math.max(0, variance[index][index]) / prompts);
    return [Math.max(0, value - half), value + half];
  });
}

/** The constraints with λ > 0, and the inverse of the Hessian on them where it has one. */
function activeInverse(lambda: readonly number[], hessian: Matrix) {
  const active = lambda.flatMap((value, j) => (value > 0 ? [j] : []));
  const inverse = active.length > 0 ? invert(active.map((i) => active.map((j) => hessian[i][j]))) : [];
  return { active, inverse };
}

type Found = Pick<Solved, 'lambda' | 'dual' | 'hessian' | 'expected' | 'kl'>;

/** Intervals of what the solution achieves, whose rows were the last described. */
export function intervalsOf(
  described: DescribedRows,
  problem: Pick<DualProblem, 'beta' | 'thresholds' | 'relative'>,
  solution: Found,
): Intervals {
  const { lambda, dual, hessian, expected, kl } = solution;
  const { beta } = problem;
  const m = lambda.length;
  const { active, inverse } = activeInverse(lambda, hessian);
  const gradients = gradientRows(described, problem);
  const rewards = described.column(COLUMN.reward);
  const divergences = described.column(COLUMN.kl);
  const safety = lambda.map((_, j) => described.column(COLUMN.safety + j));
  // dE[r]/dλ_j, dE[g_i]/dλ_j is the Hessian, and dKL/dλ_j follows from both.
  const rewardSlope = lambda.map((_, j) => {
    const column = described.column(COLUMN.safety + m + j);
    return pairwiseSum(column) / column.length / beta;
  });
  const klSlope = rewardSlope.map(
    (slope, j) => (slope + lambda.reduce((sum, price, i) => sum + price * hessian[i][j], 0)) / beta,
  );
  const moves = inverse && pricesMoved(gradients, active, inverse);
  const at = (value: number, column: Float64Array): Interval => around(value, column);
  const moved = (value: number, column: Float64Array, slope: readonly number[]): Interval => {
    if (!moves) return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    const influence = column.map((own, n) => active.reduce((sum, j, a) => sum + slope[j] * moves[a][n], own));
    return around(value, influence);
  };
  // D is at its minimum in λ: to first order it does not see λ* move.
  const values = rewards.map((reward, n) =>
    lambda.reduce((sum, price, j) => sum + price * gradients[j][n], reward - beta * divergences[n]),
  );
  return {
    optimum: {
      dual: at(dual, values),
      reward: moved(expected.reward, rewards, rewardSlope),
      safety: safety.map((column, j) => moved(expected.safety[j], column, hessian[j])),
      kl: positive(moved(kl, divergences, klSlope)),
    },
    policy: {
      reward: at(expected.reward, rewards),
      safety: safety.map((column, j) => at(expected.safety[j], column)),
      kl: positive(at(kl, divergences)),
    },
  };
}

/** How each prompt moves each λ that is not 0, times N. */
function pricesMoved(
  gradients: readonly Float64Array[],
  active: readonly number[],
  inverse: Matrix,
): Float64Array[] {
  return active.map((_, a) =>
    gradients[0].map((_, n) => active.reduce((sum, j, b) => sum - inverse[a][b] * gradients[j][n], 0)),
  );
}

function around(value: number, influence: Float64Array): Interval {
  if (influence.length < 2) return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  const half = Z_95 * Math.sqrt(covarianceOf([influence])[0][0] / influence.length);
  return [value - half, value + half];
}

function positive([low, high]: Interval): Interval {
  return [Math.max(0, low), high];
}

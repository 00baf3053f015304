import { eigenvalues, invert, multiply } from './linear.ts';
import type { DualProblem } from './problem.ts';
import type { Curvature, EffectiveSampleSize } from './solution.ts';
import { pairwiseSum, quantile } from './sums.ts';
import type { Statistics } from './table.ts';
import { COLUMN, type Workspace } from './workspace.ts';

/** 0.975-quantile of the standard normal distribution. */
const Z_95 = 1.959963984540054;

export function effectiveSampleSize(ess: Float64Array): EffectiveSampleSize {
  const sorted = ess.slice().sort();
  return {
    median: quantile(sorted, 0.5),
    mean: pairwiseSum(ess) / ess.length,
    p10: quantile(sorted, 0.1),
    p90: quantile(sorted, 0.9),
  };
}

export function curvatureOf(
  statistics: Statistics,
  beta: number,
  hessian: readonly (readonly number[])[],
): Curvature {
  const values = eigenvalues(hessian);
  return {
    smoothness: statistics.safetyRange.reduce((sum, range) => sum + range * range, 0) / (4 * beta),
    largest: values[values.length - 1],
    smallest: values[0],
  };
}

/**
 * 95 % intervals of λ* over the draw of prompts, the responses given, by the delta method: λ* minimises a mean over
 * prompts, so its covariance is H⁻¹·S·H⁻¹/N on the constraints with λ > 0, S the covariance of the rows' gradients
 * (van der Vaart, Asymptotic Statistics, 1998, theorem 5.21).
 */
export function lambdaIntervals(
  lambda: readonly number[],
  hessian: readonly (readonly number[])[],
  rowSafety: readonly Float64Array[],
): [number, number][] {
  const prompts = rowSafety[0].length;
  const active = lambda.flatMap((value, j) => (value > 0 ? [j] : []));
  const inverse = active.length > 0 ? invert(active.map((i) => active.map((j) => hessian[i][j]))) : undefined;
  if (prompts < 2 || (active.length > 0 && !inverse)) {
    return lambda.map((value) => (value > 0 ? [0, Number.POSITIVE_INFINITY] : [0, 0]));
  }
  const variance = inverse
    ? multiply(multiply(inverse, covarianceOf(active.map((j) => rowSafety[j]))), inverse)
    : [];
  return lambda.map((value, j) => {
    const index = active.indexOf(j);
    if (index < 0) return [0, 0];
    const half = Z_95 * Math.sqrt(Math.max(0, variance[index][index]) / prompts);
    return [Math.max(0, value - half), value + half];
  });
}

/** Sample covariance of columns of equal length. */
export function covarianceOf(columns: readonly Float64Array[]): number[][] {
  const rows = columns[0].length;
  const centred = columns.map((column) => {
    const mean = pairwiseSum(column) / rows;
    return column.map((value) => value - mean);
  });
  const products = new Float64Array(rows);
  const covariance = columns.map(() => columns.map(() => 0));
  for (const [i, a] of centred.entries()) {
    for (let j = 0; j <= i; j++) {
      const b = centred[j];
      for (let n = 0; n < rows; n++) products[n] = a[n] * b[n];
      covariance[i][j] = covariance[j][i] = pairwiseSum(products) / (rows - 1);
    }
  }
  return covariance;
}

/** Each prompt's part of the gradient, but for a constant: E_p[g_j], less the reference mean for a margin. */
export function gradientRows(
  workspace: Workspace,
  { thresholds, relative }: Pick<DualProblem, 'thresholds' | 'relative'>,
): Float64Array[] {
  return thresholds.map((_, j) => {
    const rows = workspace.column(COLUMN.safety + j);
    if (!relative?.[j]) return rows;
    const means = workspace.table.rowMeans(j);
    return rows.map((value, n) => value - means[n]);
  });
}

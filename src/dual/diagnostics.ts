import { eigenvalues } from './linear.ts';
import type { DualProblem } from './problem.ts';
import type { Curvature, EffectiveSampleSize } from './solution.ts';
import { pairwiseSum, quantile } from './sums.ts';
import type { Statistics } from './table.ts';
import { COLUMN, type DescribedRows } from './workspace.ts';

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
  described: DescribedRows,
  { thresholds, relative }: Pick<DualProblem, 'thresholds' | 'relative'>,
): Float64Array[] {
  return thresholds.map((_, j) => {
    const rows = described.column(COLUMN.safety + j);
    if (!relative?.[j]) return rows;
    const means = described.rowMeans(j);
    return rows.map((value, n) => value - means[n]);
  });
}

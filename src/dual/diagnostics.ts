import { COLUMN, type DescribedRows } from './described.ts';
import { eigenvalues } from './linear.ts';
import type { DualProblem } from './problem.ts';
import type { Curvature, EffectiveSampleSize } from './solution.ts';
import { pairwiseDot, pairwiseSum, quantiles } from './sums.ts';
import type { Statistics } from './table.ts';

export function effectiveSampleSize(ess: Float64Array): EffectiveSampleSize {
  const mean = pairwiseSum(ess) / ess.length;
  const [p10, median, p90] = quantiles(ess.slice(), [0.1, 0.5, 0.9]);
  return { median, mean, p10, p90 };
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
  const centred = columns.map(centredColumn);
  const covariance = columns.map(() => columns.map(() => 0));
  for (const [i, a] of centred.entries()) {
    for (let j = 0; j <= i; j++) {
      covariance[i][j] = covariance[j][i] = pairwiseDot(a, centred[j]) / (rows - 1);
    }
  }
  return covariance;
}

function centredColumn(column: Float64Array): Float64Array {
  const mean = pairwiseSum(column) / column.length;
  const out = new Float64Array(column.length);
  for (let n = 0; n < out.length; n++) out[n] = column[n] - mean;
  return out;
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

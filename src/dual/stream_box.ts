import { type Box, radiusOf } from './box.ts';
import { COLUMN } from './described.ts';
import { optimise } from './solve.ts';
import type { Workspace } from './workspace.ts';

/** The box around the λ of a sample; undefined where it has none to speak of. */
export function boxOf(sample: Workspace, thresholds: readonly number[], beta: number): Box | undefined {
  const optimum = optimise(sample, beta, thresholds);
  if (optimum.status !== 'optimal') return undefined;
  const { hessian } = sample.evaluate(beta, thresholds, optimum.lambda);
  const radius = optimum.lambda.map((_, j) => radiusOf(sample.column(COLUMN.safety + j), hessian[j][j]));
  return radius.every(Number.isFinite) ? { centre: optimum.lambda, radius } : undefined;
}

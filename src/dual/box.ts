import { optimise } from './solve.ts';
import { pairwiseSum } from './sums.ts';
import { COLUMN, type Workspace } from './workspace.ts';

/** Standard errors of some prompts' λ that the box around it spans, either way. */
const BOX = 4;

/** Where the λ of all prompts should be, from that of some. */
export interface Box {
  readonly centre: readonly number[];
  readonly radius: readonly number[];
}

/** The box around the λ of a sample; undefined where it has none to speak of. */
export function boxOf(sample: Workspace, thresholds: readonly number[], beta: number): Box | undefined {
  const optimum = optimise(sample, beta, thresholds);
  if (optimum.status !== 'optimal') return undefined;
  const { hessian } = sample.evaluate(beta, thresholds, optimum.lambda);
  const radius = optimum.lambda.map((_, j) => {
    const column = sample.column(COLUMN.safety + j);
    const mean = pairwiseSum(column) / column.length;
    const squares = pairwiseSum(column.map((value) => (value - mean) * (value - mean)));
    return (BOX * Math.sqrt(squares)) / column.length / hessian[j][j];
  });
  return radius.every(Number.isFinite) ? { centre: optimum.lambda, radius } : undefined;
}

export function inside({ centre, radius }: Box, lambda: readonly number[]): boolean {
  return lambda.every((value, j) => Math.abs(value - centre[j]) <= radius[j]);
}

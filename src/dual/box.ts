import { pairwiseSum } from './sums.ts';

/** Standard errors of some prompts' λ that the box around it spans, either way. */
const BOX = 4;

/** Where the λ of all prompts should be, from that of some. */
export interface Box {
  readonly centre: readonly number[];
  readonly radius: readonly number[];
}

export function inside({ centre, radius }: Box, lambda: readonly number[]): boolean {
  return lambda.every((value, j) => Math.abs(value - centre[j]) <= radius[j]);
}

/** The box's radius along one axis, from E_p[g] of each prompt of the sample and the curvature of its dual there. */
export function radiusOf(safety: Float64Array, curvature: number): number {
  const mean = pairwiseSum(safety) / safety.length;
  const squares = safety.map((value) => (value - mean) * (value - mean));
  return (BOX * Math.sqrt(pairwiseSum(squares))) / safety.length / curvature;
}

import type { Band } from '../shared/chart.ts';
import type { CurveRow } from './bench.ts';

/**
 * The point of a solved curve at a threshold, between its neighbours: accurate to far less than a pixel, and fit for every
 * frame of a drag. Undefined beyond the last point, where only a solution of its own tells.
 */
export function readCurve(points: readonly CurveRow[], threshold: number): CurveRow | undefined {
  const [low, high, t] = around(points, threshold) ?? [];
  if (!low || !high || t === undefined) return undefined;
  const mix = (a: number, b: number) => a + (b - a) * t;
  const mixAll = (a: readonly number[], b: readonly number[]) => a.map((value, j) => mix(value, b[j]));
  return {
    threshold,
    lambda: mix(low.lambda, high.lambda),
    reward: mix(low.reward, high.reward),
    kl: mix(low.kl, high.kl),
    ess: mix(low.ess, high.ess),
    safety: mixAll(low.safety, high.safety),
    prices: mixAll(low.prices, high.prices),
  };
}

/** The interval of λ at a threshold, likewise. */
export function readInterval(bands: readonly Band[], threshold: number): [number, number] | undefined {
  const [low, high, t] = around(bands, threshold) ?? [];
  if (!low || !high || t === undefined) return undefined;
  const between = (end: 0 | 1) => low.lambda[end] + (high.lambda[end] - low.lambda[end]) * t;
  return [between(0), between(1)];
}

/** The neighbours of a threshold, and how far it is from the first to the second. */
function around<T extends { readonly threshold: number }>(
  points: readonly T[],
  threshold: number,
): [T, T, number] | undefined {
  if (points.length < 2 || threshold > points[points.length - 1].threshold) return undefined;
  if (threshold <= points[0].threshold) return [points[0], points[0], 0];
  let [first, last] = [0, points.length - 1];
  while (last - first > 1) {
    const middle = (first + last) >> 1;
    if (points[middle].threshold < threshold) first = middle;
    else last = middle;
  }
  const [low, high] = [points[first], points[last]];
  return [low, high, (threshold - low.threshold) / (high.threshold - low.threshold || 1)];
}

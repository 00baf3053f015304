import type { Kernels } from '../wasm.ts';

/** Rounds towards the largest mean; each at least doubles the digits. */
const ROUNDS = 60;

/**
 * The least and the largest mean of a score under a policy on `count` responses, where both may be off: the score by at
 * most `error`, and each log-probability by at most `tilt` and by `price` times the score's own error. Exact: the
 * largest ratio Σ p·e^a·(g + e) / Σ p·e^a is the root v of max Σ p·e^a·(g + e − v) = 0, where each response's a and e
 * are chosen on their own (Dinkelbach, On nonlinear fractional programming, 1967).
 */
export function extremes(
  kernels: Kernels,
  policy: Float64Array,
  scores: Float64Array,
  count: number,
  tilt: number,
  error: number,
  price: number,
): [number, number] {
  return [
    -largest(kernels, policy, scores, count, -1, tilt, error, -price),
    largest(kernels, policy, scores, count, 1, tilt, error, price),
  ];
}

function largest(
  { exp }: Kernels,
  policy: Float64Array,
  scores: Float64Array,
  count: number,
  sign: 1 | -1,
  tilt: number,
  error: number,
  price: number,
): number {
  let mean = 0;
  let most = Number.NEGATIVE_INFINITY;
  for (let k = 0; k < count; k++) {
    mean += policy[k] * sign * scores[k];
    most = Math.max(most, sign * scores[k] + error);
  }
  if (tilt === 0 && error === 0) return mean;
  // Relative to the largest factors, so that none overflows.
  const below = exp(-2 * tilt);
  const ends: readonly [number, number][] = [-error, error].map((e) => [
    e,
    exp(price * e - Math.abs(price) * error),
  ]);
  let value = mean;
  for (let round = 0; round < ROUNDS; round++) {
    let weighted = 0;
    let total = 0;
    for (let k = 0; k < count; k++) {
      if (policy[k] === 0) continue;
      const x = sign * scores[k] - value;
      let best = Number.NEGATIVE_INFINITY;
      let factor = 0;
      let chosen = 0;
      for (const [e, power] of ends) {
        const f = x + e < 0 ? power * below : power;
        if (f * (x + e) > best) [best, factor, chosen] = [f * (x + e), f, e];
      }
      if (price < 0) {
        // Where the score's error works against the probability, the best lies between the ends.
        const e = Math.max(-error, Math.min(error, -1 / price - x));
        const f = exp(price * e - Math.abs(price) * error) * (x + e < 0 ? below : 1);
        if (f * (x + e) > best) [factor, chosen] = [f, e];
      }
      weighted += policy[k] * factor * (x + chosen);
      total += policy[k] * factor;
    }
    if (!(total > 0)) return most;
    const next = value + weighted / total;
    if (!(next > value)) break;
    value = next;
  }
  return Math.min(value, most);
}

import type { Kernels } from '../wasm.ts';

/** Rounds towards the largest mean; each at least doubles the digits. */
const ROUNDS = 60;
/** Probabilities below this, and were they as large as errors can make them, move no digit. */
const NEGLIGIBLE = 1e-20;

/** Which of the two is wanted; the other one is NaN. */
export type Ends = 'low' | 'high' | 'both';

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
  wanted: Ends = 'both',
): [number, number] {
  const end = (sign: 1 | -1) =>
    sign * largest(kernels, policy, scores, count, sign, tilt, error, sign * price);
  return [wanted === 'high' ? Number.NaN : end(-1), wanted === 'low' ? Number.NaN : end(1)];
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
  // Relative to the largest factors, so that none overflows: of a score too low by its error, and too high.
  const below = exp(-2 * tilt);
  const spread = Math.abs(price) * error;
  const under = exp(-price * error - spread);
  const over = exp(price * error - spread);
  // What no factor can lift above rounding.
  const least = NEGLIGIBLE * exp(-2 * (tilt + spread));
  let value = mean;
  for (let round = 0; round < ROUNDS; round++) {
    let weighted = 0;
    let total = 0;
    for (let k = 0; k < count; k++) {
      const p = policy[k];
      if (p <= least) continue;
      const x = sign * scores[k] - value;
      let chosen = x - error;
      let factor = chosen < 0 ? under * below : under;
      const other = x + error;
      const otherFactor = other < 0 ? over * below : over;
      if (otherFactor * other > factor * chosen) {
        chosen = other;
        factor = otherFactor;
      }
      // Where the score's error works against the probability, the best may lie between the ends.
      const e = -1 / price - x;
      if (price < 0 && e > -error && e < error) {
        const between = x + e;
        const f = exp(price * e - spread) * (between < 0 ? below : 1);
        if (f * between > factor * chosen) {
          chosen = between;
          factor = f;
        }
      }
      weighted += p * factor * chosen;
      total += p * factor;
    }
    if (!(total > 0)) return most;
    const next = value + weighted / total;
    if (!(next > value)) break;
    value = next;
  }
  return Math.min(value, most);
}

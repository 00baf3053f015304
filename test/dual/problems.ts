import type { DualProblem } from '../../src/dual/problem.ts';
import { keyOf, Random } from '../../src/random.ts';

export interface DrawnProblem extends DualProblem {
  readonly reward: Float64Array;
  readonly safety: Float64Array;
}

/** A small random problem, unlike its neighbours: ragged or not, ties or not, β from 1e-4 to 1e4, scores of any unit. */
export function drawProblem(seed: number): DrawnProblem {
  const random = new Random(keyOf(seed, 'problem'));
  const uniform = () => random.uniform();
  const m = 1 + random.below(8);
  const prompts = 1 + random.below(uniform() < 0.3 ? 3 : 60);
  const most = 1 + random.below(uniform() < 0.3 ? 3 : 40);
  const responses =
    uniform() < 0.3 ? Uint32Array.from({ length: prompts }, () => 1 + random.below(most)) : most;
  const total = typeof responses === 'number' ? prompts * responses : responses.reduce((a, b) => a + b, 0);
  const kinds = [
    () => Math.round(3 * uniform()),
    uniform,
    () => (uniform() < 0.5 ? 0 : 1),
    () => uniform() ** 3,
    () => 5 + random.below(3),
  ];
  const draw = kinds[random.below(kinds.length)];
  const unit = 10 ** (6 * uniform() - 3);
  const reward = Float64Array.from({ length: total }, draw);
  const safety = Float64Array.from({ length: m * total }, () => draw() * unit);
  const part = uniform() < 0.2 ? 1.001 : uniform();
  const thresholds = Array.from({ length: m }, (_, j) => {
    const scores = safety.subarray(j * total, (j + 1) * total);
    const mean = scores.reduce((a, b) => a + b, 0) / total;
    return (
      mean + (meanOfMaxima(scores, responses, prompts) - mean) * part * (m > 1 ? 0.3 + 0.7 * uniform() : 1)
    );
  });
  return { reward, safety, prompts, responses, beta: 10 ** (8 * uniform() - 4), thresholds };
}

function meanOfMaxima(scores: Float64Array, responses: number | Uint32Array, prompts: number): number {
  let at = 0;
  let sum = 0;
  for (let n = 0; n < prompts; n++) {
    const K = typeof responses === 'number' ? responses : responses[n];
    sum += Math.max(...scores.subarray(at, at + K));
    at += K;
  }
  return sum / prompts;
}

/** The range of each safety score over the table, or 1 where it is constant: the unit its errors are measured in. */
export function rangesOf({ reward, safety }: DualProblem): number[] {
  const total = reward.length;
  return Array.from({ length: safety.length / total }, (_, j) => {
    const scores = safety.slice(j * total, (j + 1) * total).sort();
    return scores[total - 1] - scores[0] || 1;
  });
}

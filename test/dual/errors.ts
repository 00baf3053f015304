/** Problems whose scores err, at random or against λ*: what bounds on λ* are judged on. */
import type { DualProblem, ScoreErrors } from '../../src/dual/index.ts';
import { keyOf, Random } from '../../src/random.ts';

export type Shift = (i: number, j: number) => number;

/** The problem with each score moved by its error times a number from −1 to 1; j is −1 for the reward. */
export function moved(problem: DualProblem, errors: ScoreErrors, shift: Shift): DualProblem {
  const total = problem.reward.length;
  const reward = Float64Array.from(problem.reward, (r, i) => r + errors.reward * shift(i, -1));
  const safety = Float64Array.from(problem.safety, (g, i) => {
    const j = Math.floor(i / total);
    return g + errors.safety[j] * shift(i % total, j);
  });
  const means = (values: DualProblem['safety'], j: number) => {
    let sum = 0;
    for (let i = 0; i < total; i++) sum += values[j * total + i];
    return sum / total;
  };
  // A margin follows the mean of the scores at hand.
  const thresholds = problem.thresholds.map((value, j) =>
    problem.relative?.[j] ? value + means(safety, j) - means(problem.safety, j) : value,
  );
  return { ...problem, reward, safety, thresholds };
}

export function randomShift(seed: number, corners: boolean): Shift {
  const random = new Random(keyOf(seed, 'shift'));
  return () => (corners ? 2 * random.below(2) - 1 : 2 * random.uniform() - 1);
}

/** E_p[g_axis] of each prompt at λ, from the definition. */
export function policyMeans(problem: DualProblem, lambda: readonly number[], axis: number): number[] {
  const total = problem.reward.length;
  const K = problem.responses as number;
  return Array.from({ length: problem.prompts }, (_, n) => {
    const s = Array.from({ length: K }, (_, k) => {
      const i = n * K + k;
      return (
        lambda.reduce((sum, x, j) => sum + x * problem.safety[j * total + i], problem.reward[i]) /
        problem.beta
      );
    });
    const top = Math.max(...s);
    const e = s.map((x) => Math.exp(x - top));
    const sum = e.reduce((a, b) => a + b);
    return e.reduce((acc, x, k) => acc + (x / sum) * problem.safety[axis * total + n * K + k], 0);
  });
}

/** Errors against one constraint at λ: what is safer than the policy's mean is rewarded less (sign 1) or more (−1). */
export function pull(problem: DualProblem, lambda: readonly number[], axis: number, sign: number): Shift {
  const total = problem.reward.length;
  const K = problem.responses as number;
  const centre = policyMeans(problem, lambda, axis);
  return (i, j) => {
    if (j >= 0) return -sign;
    return problem.safety[axis * total + i] > centre[Math.floor(i / K)] ? -sign : sign;
  };
}

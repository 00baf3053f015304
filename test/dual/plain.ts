import { type DualProblem, responsesOf, type ScoreTable } from '../../src/dual/problem.ts';

/** D, ∇D and ∇²D straight from their definitions, with the host's exp and log and no care for rounding. */
export function plainDual(
  problem: DualProblem,
  lambda: readonly number[],
): { value: number; gradient: number[]; hessian: number[][]; kl: number; reward: number } {
  const { beta, thresholds, prompts } = problem;
  const m = thresholds.length;
  let value = 0;
  let kl = 0;
  let reward = 0;
  const gradient = thresholds.map(() => 0);
  const hessian = thresholds.map(() => thresholds.map(() => 0));
  forRows(problem, (rewards, safety) => {
    const K = rewards.length;
    const h = safety.map((g) => g.map((x, j) => x - thresholds[j]));
    const s = rewards.map((r, k) => (r + h[k].reduce((sum, x, j) => sum + lambda[j] * x, 0)) / beta);
    const top = Math.max(...s);
    const e = s.map((x) => Math.exp(x - top));
    const total = e.reduce((a, b) => a + b, 0);
    const p = e.map((x) => x / total);
    value += beta * (top + Math.log(total) - Math.log(K));
    reward += p.reduce((sum, x, k) => sum + x * rewards[k], 0);
    kl += p.reduce((sum, x) => (x > 0 ? sum + x * Math.log(x * K) : sum), 0);
    const mean = thresholds.map((_, j) => p.reduce((sum, x, k) => sum + x * h[k][j], 0));
    for (let i = 0; i < m; i++) {
      gradient[i] += mean[i];
      for (let j = 0; j < m; j++) {
        hessian[i][j] +=
          p.reduce((sum, x, k) => sum + x * (h[k][i] - mean[i]) * (h[k][j] - mean[j]), 0) / beta;
      }
    }
  });
  return {
    value: value / prompts,
    gradient: gradient.map((x) => x / prompts),
    hessian: hessian.map((row) => row.map((x) => x / prompts)),
    kl: kl / prompts,
    reward: reward / prompts,
  };
}

/** mean_n max_k Σ_j u_j (g_j − thresholds_j). */
export function plainSupport(problem: DualProblem, direction: readonly number[]): number {
  let sum = 0;
  forRows(problem, (_, safety) => {
    sum += Math.max(
      ...safety.map((g) => g.reduce((total, x, j) => total + direction[j] * (x - problem.thresholds[j]), 0)),
    );
  });
  return sum / problem.prompts;
}

/** Calls `use` with the rewards [K] and safety scores [K][m] of each prompt. */
export function forRows(table: ScoreTable, use: (reward: number[], safety: number[][]) => void): void {
  const total = table.reward.length;
  const m = table.safety.length / total;
  let at = 0;
  for (let n = 0; n < table.prompts; n++) {
    const K = responsesOf(table, n);
    const indices = Array.from({ length: K }, (_, k) => at + k);
    use(
      indices.map((i) => table.reward[i]),
      indices.map((i) => Array.from({ length: m }, (_, j) => table.safety[j * total + i])),
    );
    at += K;
  }
}

/** Answers to problems with known scores, the same file for every host; prints nothing and names no runtime. */
import { evaluateWith, type Kernels, solveWith } from '../../src/dual/index.ts';
import { generateScores } from '../support/score_generator.ts';

const PROBLEMS = [
  { seed: 1, N: 300, K: 64, m: 1, beta: 0.1, thresholds: [0.5] },
  { seed: 2, N: 300, K: 63, m: 1, beta: 0.01, thresholds: [0.8] },
  { seed: 2, N: 700, K: 16, m: 1, beta: 1, thresholds: [0.2] },
  { seed: 3, N: 520, K: 33, m: 2, beta: 0.1, thresholds: [0.5, 1.2] },
  { seed: 4, N: 300, K: 64, m: 4, beta: 0.3, thresholds: [0.5, -8, 0.25, 0] },
  { seed: 1, N: 50, K: 8, m: 1, beta: 0.1, thresholds: [6] },
  { seed: 5, N: 37, K: 19, m: 3, beta: 1e-4, thresholds: [-0.5, -0.25, -1] },
];

/** JSON of all answers: equal texts mean equal bits, for JSON prints every double in full. */
export function answers(kernels: Kernels): string {
  const { exp, log, sin, cos, tanh } = kernels;
  const solutions = PROBLEMS.map(({ seed, N, K, m, beta, thresholds }) => {
    const problem = { ...generateScores(seed, N, K, m), beta, thresholds };
    return [
      solveWith(kernels, problem),
      evaluateWith(
        kernels,
        problem,
        thresholds.map((_, j) => 0.3 + j / 7),
      ),
    ];
  });
  const points = Array.from({ length: 200 }, (_, i) => 0.37 * i - 31.3);
  const functions = points.map((x) => [exp(x), log(x + 40), sin(x * 1e6), cos(x), tanh(x)]);
  return JSON.stringify({ solutions, functions });
}

export async function answersHash(kernels: Kernels): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(answers(kernels)));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Answers to problems with known scores, the same file for every host; prints nothing and names no runtime. */
import {
  bootstrapWith,
  convergenceWith,
  type DualProblem,
  evaluateWith,
  type Kernels,
  planWith,
  safeThresholdsWith,
  safetyCurveWith,
  solvePathWith,
  solveWith,
  stabilityWith,
} from '../../src/dual/index.ts';
import { GOLDEN_PROBLEMS, type ProblemSpec, problemsOf } from './golden_problems.ts';

const PROBLEMS: readonly ProblemSpec[] = [
  ...GOLDEN_PROBLEMS,
  { seed: 2, N: 300, K: 63, m: 1, beta: 0.01, thresholds: [0.8] },
  { seed: 2, N: 700, K: 16, m: 1, beta: 1, thresholds: [0.2] },
  { seed: 5, N: 37, K: 19, m: 3, beta: 1e-4, thresholds: [-0.5, -0.25, -1] },
];

function solutions(kernels: Kernels, problem: DualProblem): unknown {
  const lambda = problem.thresholds.map((_, j) => 0.3 + j / 7);
  return { solution: solveWith(kernels, problem), evaluation: evaluateWith(kernels, problem, lambda) };
}

/** What else there is to ask, of one constraint and of several. */
function studies(kernels: Kernels): unknown[] {
  const [one, two] = problemsOf([
    { seed: 1, N: 200, K: 24, m: 1, beta: 0.5, thresholds: [0.5] },
    { seed: 3, N: 150, K: 24, m: 2, beta: 1, thresholds: [0.2, 0.1] },
  ]);
  return [
    safetyCurveWith(kernels, one, one.beta, { points: 20 }),
    solvePathWith(kernels, two, two.beta, [
      [0, 0],
      [0.5, 0.2],
      [9, 9],
    ]),
    ...[one, two].flatMap((problem) => [
      bootstrapWith(kernels, problem, { replicates: 50, seed: 7 }),
      safeThresholdsWith(kernels, problem, 0.05),
      planWith(kernels, problem, { target: 0.05, subsets: 4, seed: 3 }),
      convergenceWith(kernels, problem, { steps: [0.1], passes: 50 }),
      stabilityWith(kernels, problem, { reward: 0.01, safety: problem.thresholds.map(() => 0.002) }),
    ]),
  ];
}

/** JSON of all answers: equal texts mean equal bits, for JSON prints every double in full. */
export function answers(kernels: Kernels): string {
  const { exp, log, sin, cos, tanh } = kernels;
  const points = Array.from({ length: 200 }, (_, i) => 0.37 * i - 31.3);
  const functions = points.map((x) => [exp(x), log(x + 40), sin(x * 1e6), cos(x), tanh(x)]);
  const solved = Array.from(problemsOf(PROBLEMS), (problem) => solutions(kernels, problem));
  return JSON.stringify({ solved, studies: studies(kernels), functions });
}

export async function answersHash(kernels: Kernels): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(answers(kernels)));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

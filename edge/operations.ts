/** The three questions the service answers; each is the library's answer as it is. */
import {
  bootstrapWith,
  type DualProblem,
  type Kernels,
  type Limit,
  largestThresholdWith,
  planWith,
  type ScoreTable,
  safeThresholdsWith,
  safetyCurveWith,
  solvePathWith,
  solveWith,
  thresholdsOf,
} from '../src/dual/index.ts';
import { constraintsOf } from '../src/dual/problem.ts';
import { CURVE, type CurveParameters, check, DUAL, PLAN } from './parameters.ts';
import { HttpProblem } from './problem.ts';
import type { ScoredRequest } from './scores.ts';
import { checkWork, POINT_PASSES, SHUFFLE_TERMS, SOLVE_PASSES } from './work.ts';

export interface Context {
  readonly kernels: Kernels;
  readonly maxWork: number;
}

export type Operation = (context: Context, request: ScoredRequest) => Promise<unknown>;

/** λ*, predictions and a verdict, as `dualign dual --json`. */
export const dual: Operation = async ({ kernels, maxWork }, { table, parameters }) => {
  const { beta, limits, confidence, bootstrap, seed = 0 } = check(DUAL, parameters);
  const rounds = confidence === undefined ? 1 : 8;
  checkWork(table, maxWork, rounds * SOLVE_PASSES + POINT_PASSES * (bootstrap ?? 0));
  let problem = await problemOf(table, beta, limits);
  let raised: { confidence: number; tightening: readonly number[] } | undefined;
  if (confidence !== undefined) {
    const { thresholds, tightening } = safeThresholdsWith(kernels, problem, 1 - confidence);
    problem = { ...problem, thresholds };
    raised = { confidence, tightening };
  }
  const solution = solveWith(kernels, problem);
  const resample = bootstrap !== undefined && solution.status === 'optimal';
  return {
    ...solution,
    ...raised,
    ...(resample ? { bootstrap: bootstrapWith(kernels, problem, { replicates: bootstrap, seed }) } : {}),
  };
};

/** The trade-off over all thresholds, as `dualign curve --json`. */
export const curve: Operation = async ({ kernels, maxWork }, { table, parameters }) => {
  const options = check(CURVE, parameters);
  const { beta, points = 21, maxKl, minReward } = options;
  if (maxKl !== undefined || minReward !== undefined) {
    if (maxKl !== undefined && minReward !== undefined) {
      throw new HttpProblem(422, 'expected maxKl or minReward, got both');
    }
    checkWork(table, maxWork, 128 * POINT_PASSES);
    const point = largestThresholdWith(
      kernels,
      table,
      beta,
      maxKl !== undefined ? { kl: maxKl } : { reward: minReward! },
    );
    if (point) return point;
    throw new HttpProblem(422, 'no threshold stays within that budget; change beta or the budget');
  }
  checkWork(table, maxWork, SOLVE_PASSES + POINT_PASSES * points);
  if (constraintsOf(table) === 1) {
    return safetyCurveWith(kernels, table, beta, { points, from: options.from, to: options.to });
  }
  return alongAxis(kernels, table, options, points);
};

async function alongAxis(kernels: Kernels, table: ScoreTable, options: CurveParameters, count: number) {
  const { beta, axis = 1, limits = [] } = options;
  const problem = await problemOf(table, beta, limits);
  const j = axis - 1;
  if (j >= problem.thresholds.length) {
    throw new HttpProblem(422, `axis: expected 1 to ${problem.thresholds.length}, got ${axis}`);
  }
  const { reference, reachable } = solveWith(kernels, problem);
  const from = options.from ?? reference.safety[j];
  const to = options.to ?? reachable[j];
  const thresholds = Array.from({ length: count }, (_, i) =>
    problem.thresholds.map((value, k) => (k === j ? from + ((to - from) * i) / (count - 1) : value)),
  );
  return { axis, points: solvePathWith(kernels, table, beta, thresholds) };
}

/** How many prompts and responses a trustworthy λ* takes, as `dualign plan --json`. */
export const plan: Operation = async ({ kernels, maxWork }, { table, parameters }) => {
  const { beta, limits, target, subsets = 16, seed = 0 } = check(PLAN, parameters);
  // The sizes of a kind, an eighth, a quarter and a half, come to less than the whole table.
  checkWork(table, maxWork, (1 + 2 * subsets) * SOLVE_PASSES, subsets * SHUFFLE_TERMS);
  return planWith(kernels, await problemOf(table, beta, limits), { target, subsets, seed });
};

async function problemOf(table: ScoreTable, beta: number, limits: readonly Limit[]): Promise<DualProblem> {
  const constraints = constraintsOf(table);
  if (limits.length !== constraints) {
    throw new HttpProblem(
      422,
      `limits: expected ${constraints}, a threshold or margin for each safety score in the scores, got ${limits.length}`,
    );
  }
  const thresholds = await thresholdsOf(table, limits);
  return { ...table, beta, thresholds, relative: limits.map((limit) => 'margin' in limit) };
}

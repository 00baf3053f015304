/** The three questions the service answers; each is the library's answer as it is. */
import {
  axisPathWith,
  bootstrapWith,
  type DualProblem,
  describePoliciesWith,
  directionPathWith,
  type Kernels,
  type Limit,
  largestThresholdWith,
  planWith,
  type ScoreTable,
  safeThresholdsWith,
  safetyCurveWith,
  scoreErrors,
  solveWith,
  stabilityWith,
  thresholdGridWith,
  thresholdsOf,
} from '../src/dual/index.ts';
import { constraintsOf } from '../src/dual/problem.ts';
import { CURVE, type CurveParameters, check, DUAL, PLAN } from './parameters.ts';
import { HttpProblem } from './problem.ts';
import type { ScoredRequest } from './scores.ts';
import {
  checkWork,
  POINT_PASSES,
  REACH_SOLVES,
  SHUFFLE_TERMS,
  SOLVE_PASSES,
  STABILITY_PASSES,
} from './work.ts';

export interface Context {
  readonly kernels: Kernels;
  readonly maxWork: number;
}

export type Operation = (context: Context, request: ScoredRequest) => Promise<unknown>;

/** λ*, predictions and a verdict, as `dualign dual --json`. */
export const dual: Operation = async ({ kernels, maxWork }, { table, parameters }) => {
  const { beta, limits, confidence, bootstrap, seed = 0, scoreError } = check(DUAL, parameters);
  const rounds = confidence === undefined ? 1 : 8;
  const stable = scoreError === undefined ? 0 : STABILITY_PASSES;
  checkWork(table, maxWork, rounds * SOLVE_PASSES + POINT_PASSES * (bootstrap ?? 0) + stable);
  let problem = await problemOf(table, beta, limits);
  let raised: { confidence: number; tightening: readonly number[] } | undefined;
  if (confidence !== undefined) {
    const { thresholds, tightening } = safeThresholdsWith(kernels, problem, 1 - confidence);
    problem = { ...problem, thresholds };
    raised = { confidence, tightening };
  }
  const solution = solveWith(kernels, problem);
  const solved = solution.status === 'optimal';
  const resample = bootstrap !== undefined && solved;
  const errors = scoreError && scoreErrors(scoreError, problem.thresholds.length);
  return {
    ...solution,
    ...raised,
    ...(resample ? { bootstrap: bootstrapWith(kernels, problem, { replicates: bootstrap, seed }) } : {}),
    ...(errors && solved ? { stability: stabilityWith(kernels, problem, errors) } : {}),
  };
};

const QUESTIONS = ['axis', 'direction', 'grid', 'lambda', 'maxKl', 'minReward'] as const;

/** The trade-off over all thresholds, as `dualign curve --json`. */
export const curve: Operation = async ({ kernels, maxWork }, { table, parameters }) => {
  const options = check(CURVE, parameters);
  const { beta, points = 21, grid, lambda, maxKl, minReward } = options;
  const asked = QUESTIONS.filter((name) => options[name] !== undefined);
  if (asked.length > 1)
    throw new HttpProblem(422, `expected one of ${asked.join(' and ')}, got ${asked.length}`);
  if (lambda) {
    checkWork(table, maxWork, POINT_PASSES);
    const [{ reward, safety, kl, ess }] = describePoliciesWith(kernels, table, beta, [lambda]);
    return { lambda, thresholds: safety, reward, kl, essMedian: ess.median };
  }
  if (maxKl !== undefined || minReward !== undefined) {
    checkWork(table, maxWork, 128 * POINT_PASSES);
    const budget = maxKl !== undefined ? { kl: maxKl } : { reward: minReward! };
    const point = largestThresholdWith(kernels, table, beta, budget);
    if (point) return point;
    throw new HttpProblem(422, 'no threshold stays within that budget; change beta or the budget');
  }
  if (grid !== undefined) {
    checkWork(table, maxWork, SOLVE_PASSES + POINT_PASSES * grid * grid);
    return thresholdGridWith(kernels, table, beta, grid);
  }
  const path = options.direction !== undefined || constraintsOf(table) > 1 || options.axis !== undefined;
  checkWork(table, maxWork, (path ? REACH_SOLVES : 1) * SOLVE_PASSES + POINT_PASSES * points);
  if (!path) return safetyCurveWith(kernels, table, beta, { points, from: options.from, to: options.to });
  return pathOf(kernels, await problemOf(table, beta, options.limits ?? []), options);
};

function pathOf(kernels: Kernels, problem: DualProblem, options: CurveParameters) {
  const { points, from, to, direction, axis = 1 } = options;
  const shown = { points, from, to };
  return direction
    ? directionPathWith(kernels, problem, direction, shown)
    : axisPathWith(kernels, problem, axis, shown);
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

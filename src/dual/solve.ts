import { UserError } from '../errors.ts';
import { type Kernels, loadWasm } from '../wasm.ts';
import { COLUMN, type DescribedRows, type Outcome } from './described.ts';
import { curvatureOf, effectiveSampleSize } from './diagnostics.ts';
import { intervalsOf } from './intervals.ts';
import type { Search } from './passes.ts';
import {
  checkProblem,
  checkTable,
  type DualProblem,
  type Limit,
  responsesOf,
  type ScoreTable,
} from './problem.ts';
import type { DualSolution, Infeasible, Solved } from './solution.ts';
import { median } from './sums.ts';
import { type Statistics, unitOf } from './table.ts';
import { ENOUGH, type Mend, pickingOnly, warningsOf } from './warnings.ts';
import { type Workspace, withWorkspace } from './workspace.ts';

/** A slack of less than this part of a score's range is none. */
const NO_SLACK = 1e-12;
const LITTLE_SLACK = 1e-9;
/** λ·range(g) beyond this many times the unit of the objective calls for a look at the slack. */
const LARGE = 10;
/** Beyond this many the reward counts for less than its digits: scores this close to the edge are as good as on it. */
const LIMITLESS = 1e4;
/** Squares of ranges below this could vanish. */
const SMALLEST_RANGE = 1e-100;
/** E[g] − threshold, in parts of the range of g, that rounding may leave: more than the second is no solution. */
const SMALL_RESIDUAL = 1e-8;
const LARGE_RESIDUAL = 1e-3;

/** Minimises the dual of `problem` over λ ≥ 0; throws a UserError on a malformed problem. */
export async function solveDual(problem: DualProblem): Promise<DualSolution> {
  return solveWith(await loadWasm(), problem);
}

/** `solveDual` with kernels already loaded. */
export function solveWith(kernels: Kernels, problem: DualProblem): DualSolution {
  checkProblem(problem);
  return withWorkspace(kernels, problem, (workspace) => solveIn(kernels, workspace, problem));
}

/** Absolute thresholds for limits that may be margins over the means of the reference samples. */
export async function thresholdsOf(table: ScoreTable, limits: readonly Limit[]): Promise<number[]> {
  if (limits.every((limit) => 'threshold' in limit)) return limits.map(({ threshold }) => threshold);
  checkTable(table);
  const { safety } = withWorkspace(await loadWasm(), table, (workspace) => workspace.statistics);
  return limits.map((limit, j) => ('threshold' in limit ? limit.threshold : safety[j] + limit.margin));
}

export interface Optimum {
  readonly status: 'optimal' | 'nearly-infeasible';
  readonly lambda: readonly number[];
  readonly evaluations: number;
  /** At λ, where the search has it. */
  readonly outcome?: Outcome;
}

export interface Impossible {
  readonly status: 'infeasible';
  readonly certificate: Infeasible['certificate'];
}

/** Sets λ* or the proof that there is none. `start` is a first guess of λ. */
export function optimise(
  workspace: Workspace,
  beta: number,
  thresholds: readonly number[],
  start?: readonly number[],
): Optimum | Impossible {
  const { statistics } = workspace;
  const impossible = outOfReach(statistics, thresholds);
  if (impossible) return impossible;
  const search = workspace.search(beta, thresholds, start);
  if (isPlain(search, statistics, beta)) return { ...search, status: 'optimal' };
  const direction = directionOf(search.lambda);
  const support = direction && workspace.support(direction, thresholds);
  return judge(search, statistics, beta, thresholds, support);
}

/** Throws a UserError where a safety score varies, but so little that its squares vanish. */
export function checkRanges({ safetyRange }: Statistics): void {
  for (const [j, range] of safetyRange.entries()) {
    if (range === 0 || range >= SMALLEST_RANGE) continue;
    throw new UserError(
      `safety score ${j + 1}: it varies by ${range} at most, too little to compute with; rescale it and its threshold`,
    );
  }
}

/** The proof that one threshold is beyond what its score reaches on its own, where there is one. */
export function outOfReach(statistics: Statistics, thresholds: readonly number[]): Impossible | undefined {
  checkRanges(statistics);
  const scale = scaleOf(statistics, thresholds);
  for (const [j, reachable] of statistics.reachable.entries()) {
    if (reachable - thresholds[j] < -NO_SLACK * scale[j]) {
      const direction = thresholds.map((_, i) => (i === j ? 1 : 0));
      return { status: 'infeasible', certificate: { direction, value: reachable - thresholds[j] } };
    }
  }
  return undefined;
}

/** Whether a search ended at a λ small enough that feasibility is beyond doubt. */
export function isPlain({ status, lambda }: Search, statistics: Statistics, beta: number): boolean {
  return status === 'converged' && sizeOf(lambda, statistics, beta) <= LARGE;
}

/** Σ λ·range(g) in units of the objective. */
function sizeOf(lambda: readonly number[], statistics: Statistics, beta: number): number {
  const weight = lambda.reduce((sum, value, j) => sum + value * statistics.safetyRange[j], 0);
  return weight / unitOf(statistics, beta);
}

/** λ scaled to add up to 1; undefined for 0. */
export function directionOf(lambda: readonly number[]): number[] | undefined {
  const size = lambda.reduce((sum, value) => sum + value, 0);
  return size > 0 ? lambda.map((value) => value / size) : undefined;
}

/** What a search that is not plain has found, given mean_n max_k of the slack along the direction of its λ. */
export function judge(
  { status, lambda, evaluations, outcome }: Search,
  statistics: Statistics,
  beta: number,
  thresholds: readonly number[],
  support: number | undefined,
): Optimum | Impossible {
  const scale = scaleOf(statistics, thresholds);
  const direction = directionOf(lambda);
  const breadth = direction?.reduce((sum, u, j) => sum + u * scale[j], 0) ?? 0;
  if (direction && support !== undefined && support < -NO_SLACK * breadth)
    return { status: 'infeasible', certificate: { direction, value: support } };
  const size = sizeOf(lambda, statistics, beta);
  const edge =
    status === 'diverged' ||
    status === 'below' ||
    size > LIMITLESS ||
    (status === 'stopped' && size > LARGE) ||
    (support !== undefined && support <= LITTLE_SLACK * breadth);
  return { status: edge ? 'nearly-infeasible' : 'optimal', lambda, evaluations, outcome };
}

/** For each safety score the size that its rounding errors are measured against. */
function scaleOf(statistics: Statistics, thresholds: readonly number[]): number[] {
  return statistics.safetyRange.map(
    (range, j) => range + 1e-3 * (Math.abs(thresholds[j]) + Math.abs(statistics.reachable[j])),
  );
}

export function solveIn(kernels: Kernels, workspace: Workspace, problem: DualProblem): DualSolution {
  const { beta, thresholds, relative } = problem;
  const optimum = optimise(workspace, beta, thresholds);
  const shown = { prompts: problem.prompts, responses: responsesShown(problem), beta, thresholds, relative };
  if (optimum.status === 'infeasible') return infeasibleSolution(shown, workspace.statistics, optimum);
  const outcome = optimum.outcome ?? workspace.evaluate(beta, thresholds, optimum.lambda);
  return solution(shown, workspace.statistics, optimum, outcome, workspace, () =>
    findMend(kernels, workspace, problem, optimum.lambda),
  );
}

/** What a solution says of its problem. */
interface Shown extends Pick<DualProblem, 'beta' | 'thresholds' | 'relative'> {
  readonly prompts: number;
  readonly responses: number | readonly [number, number];
}

function verdictOf({ beta, prompts, responses, thresholds }: Shown, statistics: Statistics) {
  return {
    beta,
    prompts,
    responses,
    thresholds: [...thresholds],
    margins: thresholds.map((threshold, j) => threshold - statistics.safety[j]),
    reference: { reward: statistics.reward, safety: statistics.safety },
    reachable: statistics.reachable,
  };
}

export function infeasibleSolution(shown: Shown, statistics: Statistics, optimum: Impossible): Infeasible {
  return { ...optimum, ...verdictOf(shown, statistics), warnings: [] };
}

/**
 * How far the optimum is from its thresholds, in parts of the ranges of the scores; throws a UserError where rounding
 * leaves no optimum.
 */
export function checkedResidual(
  { status, lambda }: Optimum,
  { gradient }: Outcome,
  statistics: Statistics,
  beta: number,
): number {
  const residual = residualOf(lambda, gradient, statistics);
  if (status !== 'optimal' || residual <= LARGE_RESIDUAL) return residual;
  throw new UserError(
    `beta: ${beta} is too small for scores that range over ${unitOf(statistics, beta)}: double precision cannot tell ` +
      'the policies apart; raise beta, or clip the scores',
  );
}

/** The solution with all diagnostics, from an optimum and the evaluation there. */
export function solution(
  shown: Shown,
  statistics: Statistics,
  optimum: Optimum,
  prediction: Outcome,
  rows: DescribedRows,
  mend: () => Mend,
): Solved {
  const { beta } = shown;
  const { lambda } = optimum;
  const { value, gradient, hessian } = prediction;
  const residual = checkedResidual(optimum, prediction, statistics, beta);
  const found = {
    lambda,
    dual: value,
    gradient,
    hessian,
    expected: { reward: prediction.reward, safety: prediction.safety },
    kl: prediction.kl,
  };
  const solved: Omit<Solved, 'warnings'> = {
    status: optimum.status,
    ...found,
    ess: effectiveSampleSize(rows.column(COLUMN.ess)),
    ...intervalsOf(rows, shown, found),
    curvature: curvatureOf(statistics, beta, hessian),
    iterations: optimum.evaluations,
    ...verdictOf(shown, statistics),
  };
  const warnings = warningsOf(solved, statistics.mostKl, residual <= SMALL_RESIDUAL, mend);
  return { ...solved, warnings };
}

/** How far λ is from optimal: the largest gradient that the bounds do not account for, in parts of the range of g. */
function residualOf(
  lambda: readonly number[],
  gradient: readonly number[],
  { safetyRange }: Statistics,
): number {
  return Math.max(
    ...gradient.map((value, j) =>
      safetyRange[j] === 0 ? 0 : (lambda[j] > 0 ? Math.abs(value) : Math.max(0, -value)) / safetyRange[j],
    ),
  );
}

export function responsesShown({ responses }: Pick<ScoreTable, 'responses'>): number | [number, number] {
  if (typeof responses === 'number') return responses;
  let least = responses[0];
  let most = responses[0];
  for (const count of responses) {
    least = Math.min(least, count);
    most = Math.max(most, count);
  }
  return least === most ? least : [least, most];
}

const DOUBLINGS = 12;
const MOST_RESPONSES = 1e5;
/** Advice is a round number: this many prompts are enough for it. */
const ADVICE_ROWS = 32;

/**
 * The least β among β·2^(i/2) at which the policy of the same λ has a median effective sample size of ENOUGH, and the
 * K that would do were s normal on each prompt: then ESS = K·exp(−Var s), with Var s from the reference samples.
 */
export function findMend(
  kernels: Kernels,
  workspace: Workspace,
  problem: DualProblem,
  lambda: readonly number[],
): Mend {
  const { beta } = problem;
  const enough = (candidate: number) => {
    const { median, kl } = workspace.sampleSize(candidate, lambda, ADVICE_ROWS);
    return median >= ENOUGH && !pickingOnly(median, kl, workspace.statistics.mostKl);
  };
  let candidate = 2 * beta;
  while (candidate < beta * 2 ** DOUBLINGS && !enough(candidate)) candidate *= 2;
  const found = candidate < beta * 2 ** DOUBLINGS;
  if (found && candidate > 2 * beta && enough(candidate / Math.SQRT2)) candidate /= Math.SQRT2;
  const spread = medianVariance(problem, lambda) / (beta * beta);
  const responses = spread < 20 ? Math.ceil(ENOUGH * kernels.exp(spread)) : Number.POSITIVE_INFINITY;
  return { ...(found ? { beta: candidate } : {}), ...(responses <= MOST_RESPONSES ? { responses } : {}) };
}

/** Median over some prompts of the variance of r + λᵀg among the reference samples. */
function medianVariance(table: ScoreTable, lambda: readonly number[]): number {
  const { reward, safety, prompts, weights } = table;
  const step = Math.max(1, Math.floor(prompts / ADVICE_ROWS));
  const variances: number[] = [];
  const scores: number[] = [];
  let at = 0;
  for (let n = 0; n < prompts; n++) {
    const count = responsesOf(table, n);
    if (n % step === 0) {
      let total = 0;
      let mean = 0;
      for (let k = 0; k < count; k++) {
        let score = reward[at + k];
        for (let j = 0; j < lambda.length; j++) score += lambda[j] * safety[j * reward.length + at + k];
        const weight = weights ? weights[at + k] : 1;
        // The score of an absent response may be anything.
        scores[k] = weight === 0 ? 0 : score;
        total += weight;
        mean += weight * scores[k];
      }
      mean /= total;
      let squares = 0;
      for (let k = 0; k < count; k++) {
        squares += (weights ? weights[at + k] : 1) * (scores[k] - mean) * (scores[k] - mean);
      }
      variances.push(squares / total);
    }
    at += count;
  }
  return median(Float64Array.from(variances));
}

import { UserError } from '../errors.ts';
import { type Key, keyOf } from '../random.ts';
import { type Kernels, loadWasm } from '../wasm.ts';
import { COLUMN, columnsOf, type Outcome } from './described.ts';
import { invert } from './linear.ts';
import { checkProblem, type DualProblem } from './problem.ts';
import { replicateWidth } from './replicates.ts';
import type { Interval } from './solution.ts';
import { optimise } from './solve.ts';
import { quantile } from './sums.ts';
import { type Workspace, withWorkspace } from './workspace.ts';

/** How `bootstrapDual` resamples. */
export interface BootstrapOptions {
  /** 1000 if left out. */
  readonly replicates?: number;
  /** Part of the replicates inside an interval; 0.95 if left out. */
  readonly level?: number;
  /** 0 if left out. */
  readonly seed?: number;
}

/** Mean reward, safety scores and KL of a policy. */
interface Achieved<T> {
  readonly reward: T;
  readonly safety: readonly T[];
  readonly kl: T;
}

/** Percentile intervals over draws of the prompts; the responses to each prompt are kept. */
export interface Bootstrap {
  readonly replicates: number;
  readonly level: number;
  readonly seed: number;
  /** Of λ* and the optimal value, solved again for each replicate. Infinite where replicates were infeasible. */
  readonly lambda: readonly Interval[];
  readonly dual: Interval;
  /** Of what the optimum of each replicate achieves, over the replicates within reach; infinite where none is. */
  readonly optimum: Achieved<Interval>;
  /** Of what the policy of the λ* found achieves. */
  readonly expected: { readonly reward: Interval; readonly safety: readonly Interval[] };
  readonly kl: Interval;
  /** Replicates whose thresholds are out of reach. */
  readonly infeasible: number;
}

/** Replicates × prompts up to which each replicate is solved to the end; beyond, Newton's first step stands for it. */
const SOLVED_ROWS = 5e6;
/** Standard errors around λ* within which replicates are expected. */
const SPREAD = 6;

/**
 * Bootstrap over prompts (Efron 1979). Every replicate starts at the λ* of all prompts. On large tables it ends with one
 * Newton step with the Hessian of all prompts, off by a part of the standard error that shrinks like 1/√N.
 */
export async function bootstrapDual(
  problem: DualProblem,
  options: BootstrapOptions = {},
): Promise<Bootstrap> {
  return bootstrapWith(await loadWasm(), problem, options);
}

/** `bootstrapDual` with kernels already loaded. */
export function bootstrapWith(
  kernels: Kernels,
  problem: DualProblem,
  options: BootstrapOptions = {},
): Bootstrap {
  const { replicates = 1000, level = 0.95, seed = 0 } = options;
  if (!Number.isSafeInteger(replicates) || replicates < 2) {
    throw new UserError(`bootstrap: expected at least 2 replicates, got ${replicates}`);
  }
  if (!(level > 0 && level < 1))
    throw new UserError(`bootstrap: expected a level between 0 and 1, got ${level}`);
  checkProblem(problem);
  if (problem.prompts < 2) {
    throw new UserError('bootstrap: expected at least 2 prompts, to draw from; got 1');
  }
  return withWorkspace(kernels, problem, (workspace) => {
    const { beta, thresholds } = problem;
    const optimum = optimise(workspace, beta, thresholds);
    if (optimum.status !== 'optimal') {
      throw new UserError(
        `bootstrap: expected thresholds within reach, but the problem is ${optimum.status}`,
        3,
      );
    }
    const { lambda } = optimum;
    const outcome = workspace.evaluate(beta, thresholds, lambda);
    const exact = replicates * problem.prompts <= SOLVED_ROWS;
    if (exact) focusOnReplicates(workspace, beta, lambda, outcome);
    const draws = drawReplicates(
      workspace,
      problem,
      lambda,
      outcome,
      exact,
      replicates,
      keyOf(seed, 'bootstrap'),
    );
    const interval = (values: Float64Array): Interval => {
      if (values.length === 0) return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
      const sorted = values.sort();
      const tail = (1 - level) / 2;
      return [quantile(sorted, tail), quantile(sorted, 1 - tail)];
    };
    const within = (values: Float64Array) => interval(values.filter((value) => !Number.isNaN(value)));
    return {
      replicates,
      level,
      seed,
      lambda: draws.lambda.map(interval),
      dual: interval(draws.dual),
      optimum: {
        reward: within(draws.optimum.reward),
        safety: draws.optimum.safety.map(within),
        kl: within(draws.optimum.kl),
      },
      expected: { reward: interval(draws.policy.reward), safety: draws.policy.safety.map(interval) },
      kl: interval(draws.policy.kl),
      infeasible: draws.infeasible,
    };
  });
}

/** Prunes the table to where replicates will be; the description of the rows stays. */
function focusOnReplicates(
  workspace: Workspace,
  beta: number,
  lambda: readonly number[],
  { safety, hessian }: Outcome,
): void {
  const radius = lambda.map((_, j) => {
    const rows = workspace.column(COLUMN.safety + j);
    const squares = rows.reduce((sum, value) => sum + (value - safety[j]) * (value - safety[j]), 0);
    return (SPREAD * Math.sqrt(squares)) / rows.length / hessian[j][j];
  });
  if (radius.every(Number.isFinite)) workspace.focus(beta, lambda, radius);
}

interface Draws {
  readonly lambda: readonly Float64Array[];
  readonly dual: Float64Array;
  /** Of each replicate's optimum; NaN where it has none. */
  readonly optimum: Achieved<Float64Array>;
  /** Of the policy found on all prompts. */
  readonly policy: Achieved<Float64Array>;
  infeasible: number;
}

function drawReplicates(
  workspace: Workspace,
  { beta, thresholds, relative }: DualProblem,
  lambda: readonly number[],
  outcome: Outcome,
  exact: boolean,
  replicates: number,
  key: Key,
): Draws {
  const columns = () => lambda.map(() => new Float64Array(replicates));
  const column = () => new Float64Array(replicates);
  const draws: Draws = {
    lambda: columns(),
    dual: column(),
    optimum: { reward: column(), safety: columns(), kl: column() },
    policy: { reward: column(), safety: columns(), kl: column() },
    infeasible: 0,
  };
  const m = lambda.length;
  const found = workspace.replicate({ beta, thresholds, relative }, lambda, {
    key,
    replicates,
    solved: exact,
  });
  const width = replicateWidth(m);
  for (let b = 0; b < replicates; b++) {
    const at = b * width;
    const means = found.subarray(at, at + columnsOf(m));
    const rest = found.subarray(at + columnsOf(m), at + width);
    record(draws.policy, b, means);
    const solved = exact
      ? solutionIn(rest, m)
      : newtonStep(beta, Array.from(rest.subarray(0, m)), lambda, means, outcome.hessian);
    if (!solved) draws.infeasible++;
    for (const [j, values] of draws.lambda.entries())
      values[b] = solved?.lambda[j] ?? Number.POSITIVE_INFINITY;
    draws.dual[b] = solved?.value ?? Number.NEGATIVE_INFINITY;
    record(draws.optimum, b, solved?.columns);
  }
  return draws;
}

/** The optimum of a resample. */
interface Solution {
  readonly lambda: readonly number[];
  readonly value: number;
  /** Means of the columns of its policy. */
  readonly columns: ArrayLike<number>;
}

/** Behind the thresholds asked of a replicate stand whether it is solved, and then value, λ and columns. */
function solutionIn(replicate: Float64Array, m: number): Solution | undefined {
  if (replicate[m] === 0) return undefined;
  const lambda = Array.from(replicate.subarray(m + 2, 2 * m + 2));
  return { value: replicate[m + 1], lambda, columns: replicate.subarray(2 * m + 2) };
}

/** Takes what replicate b achieves from the means of its columns. */
function record({ reward, safety, kl }: Achieved<Float64Array>, b: number, means?: ArrayLike<number>): void {
  reward[b] = means?.[COLUMN.reward] ?? Number.NaN;
  kl[b] = means?.[COLUMN.kl] ?? Number.NaN;
  for (const [j, values] of safety.entries()) values[b] = means?.[COLUMN.safety + j] ?? Number.NaN;
}

/** The minimum of the quadratic model at λ, over the prices that are not 0. */
function newtonStep(
  beta: number,
  thresholds: readonly number[],
  lambda: readonly number[],
  means: Float64Array,
  hessian: Outcome['hessian'],
): Solution | undefined {
  const slopes = thresholds.map((threshold, j) => means[COLUMN.safety + j] - threshold);
  const active = lambda.flatMap((price, j) => (price > 0 ? [j] : []));
  const inverse = invert(active.map((i) => active.map((j) => hessian[i][j])));
  if (!inverse) return undefined;
  const step = lambda.map(() => 0);
  for (const [a, i] of active.entries()) {
    const change = active.reduce((sum, j, b) => sum - inverse[a][b] * slopes[j], 0);
    step[i] = Math.max(-lambda[i], change);
  }
  const value = means[COLUMN.reward] - beta * means[COLUMN.kl];
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, j) => sum + x * b[j], 0);
  const moved = hessian.map((row) => dot(row, step));
  const curvature = dot(step, moved);
  const rewarded = step.reduce((sum, d, j) => sum + (d * means[COLUMN.safety + lambda.length + j]) / beta, 0);
  const columns = means.slice();
  columns[COLUMN.reward] += rewarded;
  columns[COLUMN.kl] += (rewarded + dot(lambda, moved)) / beta;
  for (const [j, change] of moved.entries()) columns[COLUMN.safety + j] += change;
  return {
    lambda: lambda.map((price, j) => price + step[j]),
    value: value + dot(lambda, slopes) + dot(slopes, step) + curvature / 2,
    columns,
  };
}

import { UserError } from '../errors.ts';
import { type Kernels, loadWasm } from '../wasm.ts';
import { COLUMN } from './described.ts';
import { checkBeta, checkProblem, constraintsOf, type ScoreTable } from './problem.ts';
import type { Infeasible } from './solution.ts';
import { optimise } from './solve.ts';
import { median } from './sums.ts';
import { type Workspace, withWorkspace } from './workspace.ts';

/** The optimum for one set of thresholds. */
export type GridPoint =
  | {
      readonly thresholds: readonly number[];
      readonly status: 'optimal' | 'nearly-infeasible';
      readonly lambda: readonly number[];
      readonly dual: number;
      readonly reward: number;
      readonly safety: readonly number[];
      readonly kl: number;
      readonly essMedian: number;
    }
  | {
      readonly thresholds: readonly number[];
      readonly status: 'infeasible';
      readonly certificate: Infeasible['certificate'];
    };

/** Solves for each set of thresholds in turn, each from the λ* of the one before: put neighbours side by side. */
export async function solvePath(
  table: ScoreTable,
  beta: number,
  path: readonly (readonly number[])[],
): Promise<GridPoint[]> {
  return solvePathWith(await loadWasm(), table, beta, path);
}

/** `solvePath` with kernels already loaded. */
export function solvePathWith(
  kernels: Kernels,
  table: ScoreTable,
  beta: number,
  path: readonly (readonly number[])[],
): GridPoint[] {
  checkBeta(beta);
  for (const thresholds of path) checkProblem({ ...table, beta, thresholds });
  if (path.length === 0) return [];
  return withWorkspace(kernels, table, (workspace) => {
    let lambda: readonly number[] | undefined;
    return path.map((thresholds) => {
      const point = solvePoint(workspace, beta, thresholds, lambda);
      if (point.status === 'optimal') lambda = point.lambda;
      return point;
    });
  });
}

function solvePoint(
  workspace: Workspace,
  beta: number,
  thresholds: readonly number[],
  start: readonly number[] | undefined,
): GridPoint {
  const optimum = optimise(workspace, beta, thresholds, start);
  if (optimum.status === 'infeasible') return { thresholds, ...optimum };
  const { value, reward, safety, kl } =
    optimum.outcome ?? workspace.evaluate(beta, thresholds, optimum.lambda);
  return {
    thresholds,
    status: optimum.status,
    lambda: optimum.lambda,
    dual: value,
    reward,
    safety,
    kl,
    essMedian: median(workspace.column(COLUMN.ess)),
  };
}

/** Thresholds along a direction from `thresholds`: t·direction is added for each t. */
export function alongDirection(
  thresholds: readonly number[],
  direction: readonly number[],
  steps: readonly number[],
): number[][] {
  return steps.map((t) => thresholds.map((threshold, j) => threshold + t * direction[j]));
}

/** Halvings of the step in `farthestAlong`: to a millionth of the largest. */
const HALVINGS = 20;

/**
 * The largest t, within a millionth of it, for which thresholds + t·direction are within reach; undefined where t = 0 is
 * not, Infinity where no step leads out of reach.
 */
export async function farthestAlong(
  table: ScoreTable,
  beta: number,
  thresholds: readonly number[],
  direction: readonly number[],
): Promise<number | undefined> {
  return farthestAlongWith(await loadWasm(), table, beta, thresholds, direction);
}

/** `farthestAlong` with kernels already loaded. */
export function farthestAlongWith(
  kernels: Kernels,
  table: ScoreTable,
  beta: number,
  thresholds: readonly number[],
  direction: readonly number[],
): number | undefined {
  checkProblem({ ...table, beta, thresholds });
  if (direction.length !== thresholds.length || !direction.every(Number.isFinite)) {
    throw new UserError(
      `direction: expected a finite number for each of the ${thresholds.length} safety scores, got ${direction.join(', ')}`,
    );
  }
  return withWorkspace(kernels, table, (workspace) => {
    const within = (t: number) => {
      const [moved] = alongDirection(thresholds, direction, [t]);
      return optimise(workspace, beta, moved).status === 'optimal';
    };
    if (!within(0)) return undefined;
    const { reachable } = workspace.statistics;
    let high = Number.POSITIVE_INFINITY;
    for (const [j, step] of direction.entries()) {
      if (step > 0) high = Math.min(high, (reachable[j] - thresholds[j]) / step);
    }
    if (!Number.isFinite(high) || within(high)) return high;
    let low = 0;
    for (let i = 0; i < HALVINGS; i++) {
      const middle = (low + high) / 2;
      if (within(middle)) low = middle;
      else high = middle;
    }
    return low;
  });
}

/**
 * The optimum for every pair of a first and a second threshold: row i, column j has first[i] and second[j]. For tables
 * with two safety scores.
 */
export async function paretoGrid(
  table: ScoreTable,
  beta: number,
  first: readonly number[],
  second: readonly number[],
): Promise<GridPoint[][]> {
  return paretoGridWith(await loadWasm(), table, beta, first, second);
}

export function paretoGridWith(
  kernels: Kernels,
  table: ScoreTable,
  beta: number,
  first: readonly number[],
  second: readonly number[],
): GridPoint[][] {
  const constraints = constraintsOf(table);
  if (constraints !== 2) throw new UserError(`Pareto grid: expected two safety scores, got ${constraints}`);
  // Back and forth, so that each pair is a neighbour of the one before.
  const path = first.flatMap((a, i) => (i % 2 === 0 ? second : second.toReversed()).map((b) => [a, b]));
  const points = solvePathWith(kernels, table, beta, path);
  return first.map((_, i) => {
    const row = points.slice(i * second.length, (i + 1) * second.length);
    return i % 2 === 0 ? row : row.reverse();
  });
}

/** Where thresholds run: along one axis, along a direction, on a grid of two; each to 1 % short of what is within reach. */
import { UserError } from '../errors.ts';
import { type Kernels, loadWasm } from '../wasm.ts';
import { alongDirection, farthestAlongWith, type GridPoint, paretoGridWith, solvePathWith } from './grid.ts';
import { checkBeta, checkTable, constraintsOf, type DualProblem, type ScoreTable } from './problem.ts';
import type { Statistics } from './table.ts';
import { withWorkspace } from './workspace.ts';

/** Which thresholds a path takes. */
export interface PathOptions {
  /** Thresholds, evenly spaced; 21 if left out. */
  readonly points?: number;
  /** The first and the last threshold, or t of a direction. */
  readonly from?: number;
  readonly to?: number;
}

/** One threshold runs, the others stay. */
export interface AxisPath {
  /** Counted from 1. */
  readonly axis: number;
  readonly points: readonly GridPoint[];
}

/** All thresholds run together. */
export interface DirectionPath {
  readonly direction: readonly number[];
  readonly points: readonly ({ readonly t: number } & GridPoint)[];
}

/** The Pareto grid of two constraints: thresholds, and what the best policy achieves at each pair. */
export interface ThresholdGrid {
  readonly first: readonly number[];
  readonly second: readonly number[];
  /** Row i, column j has first[i] and second[j]. */
  readonly points: readonly (readonly GridPoint[])[];
}

const MOST_GRID = 200;
/** At the very end of the reach λ* is infinite. */
const SHORT = 0.01;

function evenly(from: number, to: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => from + ((to - from) * i) / (count - 1));
}

const shortOf = (from: number, end: number) => end - SHORT * (end - from);

function pointsOf({ points = 21 }: PathOptions): number {
  if (Number.isSafeInteger(points) && points >= 2) return points;
  throw new UserError(`points: expected a whole number of at least 2, got ${points}`);
}

function statisticsOf(kernels: Kernels, table: ScoreTable): Statistics {
  return withWorkspace(kernels, table, ({ statistics }) => statistics);
}

/** Throws a UserError where the limits to start from are out of reach and `options.to` does not say where to go. */
function farthest(
  kernels: Kernels,
  { beta, ...table }: DualProblem,
  start: readonly number[],
  direction: readonly number[],
): number {
  const end = farthestAlongWith(kernels, table, beta, start, direction);
  if (end !== undefined) return end;
  throw new UserError(
    'the limits to start from are out of reach: lower them, or say where to go (to) to see the path all the same',
    3,
  );
}

/** The threshold of safety score `axis`, counted from 1, from its reference mean on; those of the others stay. */
export async function axisPath(
  problem: DualProblem,
  axis: number,
  options: PathOptions = {},
): Promise<AxisPath> {
  return axisPathWith(await loadWasm(), problem, axis, options);
}

export function axisPathWith(
  kernels: Kernels,
  problem: DualProblem,
  axis: number,
  options: PathOptions = {},
): AxisPath {
  const count = pointsOf(options);
  checkTable(problem);
  const { thresholds, beta } = problem;
  const j = axis - 1;
  if (!(j in thresholds)) throw new UserError(`axis: expected 1 to ${thresholds.length}, got ${axis}`);
  const from = options.from ?? statisticsOf(kernels, problem).safety[j];
  const direction = thresholds.map((_, i) => (i === j ? 1 : 0));
  const to =
    options.to ?? shortOf(from, from + farthest(kernels, problem, thresholds.with(j, from), direction));
  const path = evenly(from, to, count).map((value) => thresholds.with(j, value));
  return { axis, points: solvePathWith(kernels, problem, beta, path) };
}

/** thresholds + t·direction, t from 0 on. */
export async function directionPath(
  problem: DualProblem,
  direction: readonly number[],
  options: PathOptions = {},
): Promise<DirectionPath> {
  return directionPathWith(await loadWasm(), problem, direction, options);
}

export function directionPathWith(
  kernels: Kernels,
  problem: DualProblem,
  direction: readonly number[],
  options: PathOptions = {},
): DirectionPath {
  const count = pointsOf(options);
  const { thresholds, beta } = problem;
  if (direction.length !== thresholds.length || direction.every((step) => step === 0)) {
    throw new UserError(
      `direction: expected a step for each of the ${thresholds.length} safety scores, not all 0; got ${direction.join(', ')}`,
    );
  }
  const to = options.to ?? shortOf(0, farthest(kernels, problem, thresholds, direction));
  if (!Number.isFinite(to)) {
    throw new UserError('every step in this direction is within reach: say where to go (to)');
  }
  const times = evenly(options.from ?? 0, to, count);
  const points = solvePathWith(kernels, problem, beta, alongDirection(thresholds, direction, times));
  return { direction, points: points.map((point, i) => ({ t: times[i], ...point })) };
}

/** All pairs of `count` thresholds of two safety scores each, from the reference means on. */
export async function thresholdGrid(table: ScoreTable, beta: number, count: number): Promise<ThresholdGrid> {
  return thresholdGridWith(await loadWasm(), table, beta, count);
}

export function thresholdGridWith(
  kernels: Kernels,
  table: ScoreTable,
  beta: number,
  count: number,
): ThresholdGrid {
  if (!(Number.isSafeInteger(count) && count >= 2 && count <= MOST_GRID)) {
    throw new UserError(`grid: expected 2 to ${MOST_GRID} thresholds a side, got ${count}`);
  }
  checkTable(table);
  checkBeta(beta);
  const constraints = constraintsOf(table);
  if (constraints !== 2) throw new UserError(`grid: expected two safety scores, got ${constraints}`);
  const { safety, reachable } = statisticsOf(kernels, table);
  const [first, second] = safety.map((mean, j) => evenly(mean, shortOf(mean, reachable[j]), count));
  return { first, second, points: paretoGridWith(kernels, table, beta, first, second) };
}

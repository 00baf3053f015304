import { alongDirection, farthestAlong, type GridPoint, paretoGrid, solvePath } from '../dual/grid.ts';
import type { DualProblem, ScoreTable } from '../dual/problem.ts';
import { solveDual, thresholdsOf } from '../dual/solve.ts';
import { UserError } from '../errors.ts';
import { INFEASIBLE } from './common.ts';
import { print } from './score_options.ts';
import { shown, table } from './solution_text.ts';

interface PathOptions {
  readonly points: number;
  readonly from?: number;
  readonly to?: number;
  readonly axis?: number;
  readonly direction?: readonly number[];
  readonly json?: boolean;
}

/** Thresholds that run along an axis or a direction from the limits of `problem`. */
export async function path(problem: DualProblem, options: PathOptions): Promise<void> {
  if (options.points < 2) throw new UserError(`--points: expected at least 2, got ${options.points}`);
  if (options.direction) await direction(problem, options.direction, options);
  else await axis(problem, options);
}

function evenly(from: number, to: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => from + ((to - from) * i) / (count - 1));
}

/** At the very end of the reach λ* is infinite: 1 % short of it, as for one safety score. */
function shortOf(from: number, reachable: number): number {
  return reachable - 0.01 * (reachable - from);
}

async function axis(problem: DualProblem, options: PathOptions): Promise<void> {
  const { beta, thresholds } = problem;
  const j = (options.axis ?? 1) - 1;
  if (j < 0 || j >= thresholds.length) {
    throw new UserError(`--axis: expected 1 to ${thresholds.length}, got ${options.axis}`);
  }
  const { reference, reachable } = await solveDual(problem);
  const from = options.from ?? reference.safety[j];
  const steps = evenly(from, options.to ?? shortOf(from, reachable[j]), options.points);
  const path = steps.map((value) => thresholds.with(j, value));
  const points = await solvePath(problem, beta, path);
  print(
    { axis: j + 1, points },
    pathTable(
      `threshold ${j + 1}`,
      points,
      points.map((point) => [point.thresholds[j]]),
    ),
    options.json,
  );
}

async function direction(
  problem: DualProblem,
  steps: readonly number[],
  options: PathOptions,
): Promise<void> {
  const { beta, thresholds } = problem;
  if (steps.length !== thresholds.length || steps.every((step) => step === 0)) {
    throw new UserError(
      `--direction: expected a step for each of the ${thresholds.length} safety scores, not all 0; got ${steps.join(', ')}`,
    );
  }
  let to = options.to;
  if (to === undefined) {
    to = await farthestAlong(problem, beta, thresholds, steps);
    if (to === undefined) {
      throw new UserError(
        'the limits to start from are out of reach: lower them, or give --to to see the path all the same',
        INFEASIBLE,
      );
    }
    if (!Number.isFinite(to)) throw new UserError('every step in this direction is within reach: give --to');
    to = shortOf(0, to);
  }
  const times = evenly(options.from ?? 0, to, options.points);
  const points = await solvePath(problem, beta, alongDirection(thresholds, steps, times));
  print(
    { direction: steps, points: points.map((point, i) => ({ t: times[i], ...point })) },
    pathTable(
      ['t', ...thresholds.map((_, k) => `threshold ${k + 1}`)],
      points,
      points.map((point, i) => [times[i], ...point.thresholds]),
    ),
    options.json,
  );
}

/** A row a point: the places on the path, then what holds there. */
function pathTable(
  names: string | readonly string[],
  points: readonly GridPoint[],
  places: readonly (readonly number[])[],
): string {
  const prices = points[0].thresholds.map((_, k) => `λ* ${k + 1}`);
  return table([
    [...[names].flat(), ...prices, 'reward', 'KL', 'ESS'],
    ...points.map((point, i) => [
      ...places[i].map(shown),
      ...(point.status === 'infeasible'
        ? [...prices.map(() => ''), 'infeasible', '', '']
        : [...point.lambda, point.reward, point.kl, point.essMedian].map(shown)),
    ]),
  ]);
}

const GRID_MOST = 200;

interface GridOptions {
  readonly beta: number;
  readonly grid?: number;
  readonly json?: boolean;
}

/** All pairs of thresholds of two safety scores, from the reference means to 1 % short of what each can reach. */
export async function grid(scores: ScoreTable, { beta, grid: count = 0, json }: GridOptions): Promise<void> {
  if (count < 2 || count > GRID_MOST) {
    throw new UserError(`--grid: expected 2 to ${GRID_MOST} thresholds a side, got ${count}`);
  }
  const means = await thresholdsOf(
    scores,
    Array.from({ length: scores.safety.length / scores.reward.length }, () => ({ margin: 0 })),
  );
  const { reachable } = await solveDual({ ...scores, beta, thresholds: means });
  const [first, second = []] = means.map((mean, j) => evenly(mean, shortOf(mean, reachable[j]), count));
  const rows = await paretoGrid(scores, beta, first, second);
  const part = (name: string, value: (point: Exclude<GridPoint, { status: 'infeasible' }>) => number) =>
    `${name}\n${table([
      ['', ...second.map(shown)],
      ...rows.map((row, i) => [
        shown(first[i]),
        ...row.map((point) => (point.status === 'infeasible' ? '–' : shown(value(point)))),
      ]),
    ])}`;
  const text = [
    'Rows: threshold 1. Columns: threshold 2. –: out of reach.',
    part('reward', ({ reward }) => reward),
    part('λ* 1', ({ lambda }) => lambda[0]),
    part('λ* 2', ({ lambda }) => lambda[1]),
    part('KL', ({ kl }) => kl),
  ];
  print({ first, second, points: rows }, text.join('\n\n'), json);
}

import type { GridPoint } from '../dual/grid.ts';
import type { DualProblem, ScoreTable } from '../dual/problem.ts';
import { axisPath, directionPath, thresholdGrid } from '../dual/threshold_paths.ts';
import { print } from './score_options.ts';
import { shown, shownApart, table } from './solution_text.ts';

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
  if (options.direction) {
    const found = await directionPath(problem, options.direction, options);
    const names = ['t', ...problem.thresholds.map((_, k) => `threshold ${k + 1}`)];
    const places = found.points.map(({ t, thresholds }) => [t, ...thresholds]);
    print(found, pathTable(names, found.points, places), options.json);
  } else {
    const found = await axisPath(problem, options.axis ?? 1, options);
    const places = found.points.map(({ thresholds }) => [thresholds[found.axis - 1]]);
    print(found, pathTable([`threshold ${found.axis}`], found.points, places), options.json);
  }
}

/** A row a point: the places on the path, then what holds there. */
function pathTable(
  names: readonly string[],
  points: readonly GridPoint[],
  places: readonly (readonly number[])[],
): string {
  const prices = points[0].thresholds.map((_, k) => `λ* ${k + 1}`);
  const columns = names.map((_, column) => shownApart(places.map((place) => place[column])));
  return table([
    [...names, ...prices, 'reward', 'KL', 'ESS'],
    ...points.map((point, i) => [
      ...columns.map((column) => column[i]),
      ...(point.status === 'infeasible'
        ? [...prices.map(() => ''), 'infeasible', '', '']
        : [...point.lambda, point.reward, point.kl, point.essMedian].map(shown)),
    ]),
  ]);
}

interface GridOptions {
  readonly beta: number;
  readonly grid?: number;
  readonly json?: boolean;
}

/** All pairs of thresholds of two safety scores. */
export async function grid(scores: ScoreTable, { beta, grid: count = 0, json }: GridOptions): Promise<void> {
  const found = await thresholdGrid(scores, beta, count);
  const { first, second, points } = found;
  const rows = shownApart(first);
  const part = (name: string, value: (point: Exclude<GridPoint, { status: 'infeasible' }>) => number) =>
    `${name}\n${table([
      ['', ...shownApart(second)],
      ...points.map((row, i) => [
        rows[i],
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
  print(found, text.join('\n\n'), json);
}

import { readScores } from '../../src/data/scores.ts';
import {
  type DualSolution,
  farthestAlong,
  type ScoreTable,
  safetyCurve,
  solveDual,
  solvePath,
} from '../../src/dual/index.ts';
import { constraintsOf, totalOf } from '../../src/dual/problem.ts';
import { messageOf, UserError } from '../../src/errors.ts';
import { useThreads } from '../../src/host/dual_threads.ts';
import type { Band, Point } from '../shared/chart.ts';

/** What a score file holds, as far as the page asks. */
export interface ScoresSummary {
  readonly name: string;
  readonly prompts: number;
  /** Responses of all prompts. */
  readonly total: number;
  /** m. */
  readonly constraints: number;
  readonly reference: { readonly reward: number; readonly safety: readonly number[] };
  /** The largest threshold of each score on its own. */
  readonly reachable: readonly number[];
}

/** An axis of thresholds; the others keep their values. */
export interface CurveRequest {
  readonly beta: number;
  readonly axis: number;
  readonly thresholds: readonly number[];
}

/** A place on the curve, with all safety scores of the policy there and their prices. */
export interface CurveRow extends Point {
  readonly safety: readonly number[];
  readonly prices: readonly number[];
}

/** What each threshold of an axis costs and brings, in order of the threshold. */
export interface Curve {
  /** The first are flat: up to `free` a threshold costs nothing. */
  readonly points: readonly CurveRow[];
  readonly free: number;
  /** From here up none is within reach. */
  readonly end: number;
}

/** Points of a curve; where several thresholds hold at once, each is solved for. */
const POINTS = 241;
const PATH_POINTS = 101;
/** Places with intervals, which cost a solution each. */
const BANDS = 25;
/** A table whose solution takes longer has no intervals along its curve. */
const BAND_MILLISECONDS = 150;
/** The last 1 % before the end has prices without bound. */
const EDGE = 0.01;
/** Of the axis, below where thresholds begin to cost. */
const FLAT = 0.12;
/** A threshold that every policy meets. */
const NONE = -1e99;

/** The dual of a file, in a worker of the page. */
export class ScoresBench {
  #table: ScoreTable | undefined;
  #threads = useThreads();

  /** Reads a file of any format of scores. */
  async open(file: File): Promise<ScoresSummary> {
    await this.#threads;
    const table = await readTable(file);
    const constraints = constraintsOf(table);
    const thresholds = new Array<number>(constraints).fill(NONE);
    const { reference, reachable } = await solveDual({ ...table, beta: 1, thresholds });
    this.#table = table;
    return {
      name: file.name,
      prompts: table.prompts,
      total: totalOf(table),
      constraints,
      reference,
      reachable,
    };
  }

  async solve(
    beta: number,
    thresholds: readonly number[],
    relative: readonly boolean[],
  ): Promise<DualSolution> {
    return await solveDual({ ...this.#opened(), beta, thresholds, relative });
  }

  /** The curve along an axis; undefined where the other thresholds are out of reach. */
  async curve({ beta, axis, thresholds }: CurveRequest): Promise<Curve | undefined> {
    const table = this.#opened();
    const curve =
      constraintsOf(table) === 1
        ? await singleCurve(table, beta)
        : await curveAlong(table, beta, axis, thresholds);
    if (!curve) return undefined;
    const { points, free, end } = curve;
    const flat = { ...points[0], threshold: free - FLAT * (end - free) };
    return { free, end, points: [flat, ...points] };
  }

  /** Intervals along an axis, up to `end`; none where they would take long. */
  async bands({ beta, axis, thresholds }: CurveRequest, free: number, end: number): Promise<Band[]> {
    const table = this.#opened();
    const bands: Band[] = [];
    const last = end - 3 * EDGE * (end - free);
    for (let i = -1; i < BANDS; i++) {
      const threshold = i < 0 ? free - FLAT * (end - free) : free + ((last - free) * i) / (BANDS - 1);
      const started = performance.now();
      const solution = await solveDual({ ...table, beta, thresholds: thresholds.with(axis, threshold) });
      if (performance.now() - started > BAND_MILLISECONDS) return [];
      if (solution.status !== 'optimal') break;
      const { reward, kl } = solution.intervals.optimum;
      bands.push({ threshold, reward, kl, lambda: solution.lambdaIntervals[axis] });
    }
    return bands;
  }

  #opened(): ScoreTable {
    if (this.#table) return this.#table;
    throw new UserError('scores: expected an open file, got none');
  }
}

async function singleCurve(table: ScoreTable, beta: number): Promise<Curve> {
  const { points, free, reachable } = await safetyCurve(table, beta, { points: POINTS });
  return {
    free,
    end: reachable,
    points: points.map(({ safety: threshold, lambda, reward, kl, essMedian: ess }) => ({
      threshold,
      lambda,
      reward,
      kl,
      ess,
      safety: [threshold],
      prices: [lambda],
    })),
  };
}

async function curveAlong(
  table: ScoreTable,
  beta: number,
  axis: number,
  thresholds: readonly number[],
): Promise<Curve | undefined> {
  const without = await solveDual({ ...table, beta, thresholds: thresholds.with(axis, NONE) });
  if (without.status === 'infeasible') return undefined;
  const free = without.expected.safety[axis];
  const direction = thresholds.map((_, j) => (j === axis ? 1 : 0));
  const start = thresholds.with(axis, free - Math.abs(free) * 1e-9);
  const reach = await farthestAlong(table, beta, start, direction);
  if (!reach || !Number.isFinite(reach)) return undefined;
  const places = Array.from({ length: PATH_POINTS }, (_, i) => ((1 - EDGE) * reach * i) / (PATH_POINTS - 1));
  const path = places.map((place) => thresholds.with(axis, free + place));
  const points = (await solvePath(table, beta, path)).flatMap((point): CurveRow[] => {
    if (point.status !== 'optimal') return [];
    const { lambda: prices, reward, safety, kl, essMedian: ess } = point;
    return [{ threshold: point.thresholds[axis], lambda: prices[axis], reward, kl, ess, safety, prices }];
  });
  return points.length > 1 ? { points, free, end: free + reach } : undefined;
}

async function readTable(file: File): Promise<ScoreTable> {
  try {
    return await readScores(chunksOf(file), file.name);
  } catch (error) {
    if (error instanceof UserError) throw error;
    // The browser has no memory for the arrays.
    throw new UserError(
      `${file.name}: cannot be held in this page (${messageOf(error)}); the command streams it: ` +
        `dualign dual --scores ${file.name}`,
    );
  }
}

/** What Safari cannot iterate over itself. */
async function* chunksOf(file: File): AsyncGenerator<Uint8Array> {
  const reader = file.stream().getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}

import type { DualSolution } from '../../src/dual/solution.ts';
import { messageOf } from '../../src/errors.ts';
import { Cancelled, WorkerClient } from '../../src/host/page/client.ts';
import type { Band } from '../shared/chart.ts';
import type { Outcome } from '../shared/verdict.ts';
import type { Curve, ScoresBench, ScoresSummary } from './bench.ts';
import { readCurve, readInterval } from './reading.ts';

/** Milliseconds without a change after which the threshold is solved for exactly. */
const SETTLED = 150;
/** Where a first threshold lies between what is free and what is out of reach. */
const FIRST = { single: 0.35, several: 0.1 };
/** Of the axis, shown beyond what is within reach. */
const BEYOND = 0.05;

/** What is asked of the scores. */
export interface Asked {
  readonly beta: number;
  readonly thresholds: readonly number[];
  readonly relative: readonly boolean[];
}

/** To two digits: a number that a person would have asked for. */
const round = (value: number) => Number(value.toPrecision(2));

/**
 * A score file under the user's hand. The worker solves the curve once; while a threshold is dragged, everything is read
 * from it, and where the threshold comes to rest it is solved for.
 */
export class ScoresSession {
  summary: ScoresSummary | undefined;
  beta = 1;
  thresholds: number[] = [];
  /** Whether each is meant as a margin over the reference. */
  relative: boolean[] = [];
  /** The score on the curve's axis. */
  axis = 0;
  curve: Curve | undefined;
  bands: readonly Band[] = [];
  outcome: Outcome | DualSolution | undefined;
  busy = false;
  error: string | undefined;

  #client = new WorkerClient<ScoresBench>(
    () => new Worker(new URL('./scores_worker.js', import.meta.url), { type: 'module' }),
  );
  #changed: () => void;
  #turn = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `changed` is called whenever there is something else to show. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** The exact solution of the thresholds as they stand; undefined while they move. */
  get solution(): DualSolution | undefined {
    return this.outcome && 'warnings' in this.outcome ? this.outcome : undefined;
  }

  /** Ends of the thresholds on an axis. */
  domain(axis: number): readonly [number, number] {
    if (axis === this.axis && this.curve) {
      const { points, end } = this.curve;
      const start = points[0].threshold;
      return [start, end + BEYOND * (end - start)];
    }
    const { reference, reachable } = this.summary!;
    const span = reachable[axis] - reference.safety[axis] || 1;
    return [reference.safety[axis] - 0.2 * span, reachable[axis] + BEYOND * span];
  }

  /** Reads a file and solves it; `given` in place of a first threshold that is made up. */
  async open(file: File, given?: Asked): Promise<void> {
    await this.#work(async (turn) => {
      if (given) this.beta = given.beta;
      const summary = await this.#client.call((bench) => bench.open(file));
      if (turn !== this.#turn) return;
      const { reference, reachable, constraints } = summary;
      this.summary = summary;
      this.axis = 0;
      this.relative = reachable.map(() => true);
      this.thresholds = reachable.map(
        (reach, j) => reference.safety[j] + round(FIRST.several * (reach - reference.safety[j])),
      );
      if (given) {
        this.thresholds = [...given.thresholds];
        this.relative = [...given.relative];
      }
      await this.#solveCurve(turn);
      if (!given && constraints === 1 && this.curve) {
        const { free, end } = this.curve;
        const first = Math.max(reference.safety[0], free + FIRST.single * (end - free));
        this.thresholds = [reference.safety[0] + round(first - reference.safety[0])];
      }
      await this.#settle(turn);
    });
  }

  /** Ends the worker. */
  close(): void {
    clearTimeout(this.#timer);
    this.#client.cancel();
  }

  async setBeta(beta: number): Promise<void> {
    this.beta = beta;
    await this.#again();
  }

  setRelative(axis: number, relative: boolean): void {
    this.relative = this.relative.with(axis, relative);
    void this.#work((turn) => this.#settle(turn));
  }

  /** Moves a threshold; to be called for every step of a drag. */
  ask(axis: number, threshold: number): void {
    this.thresholds = this.thresholds.with(axis, threshold);
    if (axis !== this.axis) {
      this.axis = axis;
      this.curve = undefined;
      void this.#again();
      return;
    }
    this.#turn++;
    this.outcome = this.#read();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#work((turn) => this.#settle(turn)), SETTLED);
    this.#changed();
  }

  async #again(): Promise<void> {
    await this.#work(async (turn) => {
      await this.#solveCurve(turn);
      await this.#settle(turn);
    });
  }

  async #solveCurve(turn: number): Promise<void> {
    const request = { beta: this.beta, axis: this.axis, thresholds: this.thresholds };
    const curve = await this.#client.call((bench) => bench.curve(request));
    if (turn !== this.#turn) return;
    this.curve = curve;
    this.bands = [];
    this.#changed();
    if (!curve) return;
    void this.#client
      .call((bench) => bench.bands(request, curve.free, curve.end))
      .then((bands) => {
        if (this.curve !== curve) return;
        this.bands = bands;
        this.#changed();
      })
      // What is wrong with the scores has been told by the curve.
      .catch(() => {});
  }

  /** Solves for the thresholds as they stand. */
  async #settle(turn: number): Promise<void> {
    const { beta, thresholds, relative } = this;
    const solution = await this.#client.call(
      (bench) => bench.solve(beta, thresholds, relative) as Promise<DualSolution>,
    );
    if (turn === this.#turn) this.outcome = solution;
  }

  /** The outcome by the curve. */
  #read(): Outcome | undefined {
    const { summary, curve, thresholds, axis } = this;
    if (!summary || !curve) return this.outcome;
    const { reference, reachable } = summary;
    const threshold = thresholds[axis];
    if (threshold > curve.end) return { status: 'infeasible', thresholds, reachable, reference };
    const row = readCurve(curve.points, threshold);
    if (!row) return this.outcome;
    const interval = readInterval(this.bands, threshold);
    return {
      status: 'optimal',
      reference,
      lambda: row.prices,
      expected: { reward: row.reward, safety: row.safety },
      kl: row.kl,
      ess: { median: row.ess },
      ...(interval && thresholds.length === 1 ? { lambdaIntervals: [interval] } : {}),
    };
  }

  /** Does work that a later one makes void; tells when it begins and ends. */
  async #work(work: (turn: number) => Promise<void>): Promise<void> {
    clearTimeout(this.#timer);
    const turn = ++this.#turn;
    this.busy = true;
    this.error = undefined;
    this.#changed();
    try {
      await work(turn);
    } catch (error) {
      if (turn !== this.#turn || error instanceof Cancelled) return;
      this.error = messageOf(error);
    }
    if (turn !== this.#turn) return;
    this.busy = false;
    this.#changed();
  }
}

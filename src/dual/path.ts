import { UserError } from '../errors.ts';
import { type Kernels, loadWasm } from '../wasm.ts';
import type { CurvePoint } from './curve.ts';
import { COLUMN } from './described.ts';
import { checkBeta, checkTable, constraintsOf, type ScoreTable } from './problem.ts';
import { checkRanges, optimise } from './solve.ts';
import { median } from './sums.ts';
import { type Workspace, withWorkspace } from './workspace.ts';

/** Which part of a curve to draw, and how finely. */
export interface CurveOptions {
  /** Points wanted; one or two more or fewer may come. 100 if left out. */
  readonly points?: number;
  /** First and last threshold; from where the constraint starts to bind to 1 % short of the reachable if left out. */
  readonly from?: number;
  readonly to?: number;
}

/** Every threshold's price and outcome, for one safety score. */
export interface SafetyCurve {
  readonly beta: number;
  readonly prompts: number;
  /** Means of the reference samples. */
  readonly reference: { readonly reward: number; readonly safety: number };
  /** The threshold below which λ* = 0: E[g] of the policy that looks at the reward alone. */
  readonly free: number;
  /** The largest threshold within reach. */
  readonly reachable: number;
  /** In order of λ, at nearly even steps of the threshold; each is exact for its own. */
  readonly points: readonly CurvePoint[];
}

/** The trade-off curve threshold ↦ (λ*, E[r], E[g], KL, ESS) of a table with one safety score. */
export async function safetyCurve(
  table: ScoreTable,
  beta: number,
  options: CurveOptions = {},
): Promise<SafetyCurve> {
  return safetyCurveWith(await loadWasm(), table, beta, options);
}

/** `safetyCurve` with kernels already loaded. */
export function safetyCurveWith(
  kernels: Kernels,
  table: ScoreTable,
  beta: number,
  options: CurveOptions = {},
): SafetyCurve {
  checkTable(table);
  checkBeta(beta);
  requireOne(table);
  return withWorkspace(kernels, table, (workspace) => curveIn(workspace, beta, options));
}

export function requireOne(table: ScoreTable): void {
  const constraints = constraintsOf(table);
  if (constraints === 1) return;
  throw new UserError(
    `curve: expected one safety score, got ${constraints}; use solvePath or paretoGrid for more`,
  );
}

export function curveIn(workspace: Workspace, beta: number, options: CurveOptions): SafetyCurve {
  const { statistics } = workspace;
  checkRanges(statistics);
  const [reachable] = statistics.reachable;
  const start = pointAt(workspace, beta, 0);
  const free = start.safety;
  const from = Math.max(options.from ?? free, free);
  const to = Math.min(options.to ?? reachable - 0.01 * (reachable - free), reachable);
  const count = options.points ?? 100;
  if (!Number.isSafeInteger(count) || count < 2) {
    throw new UserError(`curve: expected at least 2 points, got ${count}`);
  }
  return {
    beta,
    prompts: workspace.prompts,
    reference: { reward: statistics.reward, safety: statistics.safety[0] },
    free,
    reachable,
    points: follow(workspace, beta, start, from, to, count),
  };
}

/** A point of the curve, with dE[g]/dλ = D''(λ) there. */
export interface Point extends CurvePoint {
  readonly slope: number;
}

export function pointAt(workspace: Workspace, beta: number, lambda: number): Point {
  const { reward, safety, kl, hessian } = workspace.evaluate(beta, [0], [lambda]);
  return {
    lambda,
    // At its own threshold E[g] the price term of the dual vanishes.
    dual: reward - beta * kl,
    reward,
    safety: safety[0],
    kl,
    essMedian: median(workspace.column(COLUMN.ess)),
    slope: hessian[0][0],
  };
}

/** Points that one focus of the workspace should last for. */
const FOCUS_POINTS = 8;
/** A point this part of the spacing off its place is good enough: it is exact for where it is. */
const OFF = 0.25;
const CORRECTIONS = 40;

function follow(
  workspace: Workspace,
  beta: number,
  start: Point,
  from: number,
  to: number,
  count: number,
): CurvePoint[] {
  if (from >= to) return [plain(start)];
  const spacing = (to - from) / (count - 1);
  let point = start;
  if (from > start.safety) {
    const first = optimise(workspace, beta, [from]);
    if (first.status !== 'optimal') return [];
    point = pointAt(workspace, beta, first.lambda[0]);
  }
  const points = [plain(point)];
  let before: Point | undefined;
  let end = Number.NEGATIVE_INFINITY;
  for (let i = 1; i < count; i++) {
    const target = from + i * spacing;
    if (point.lambda >= end) {
      const reach = (FOCUS_POINTS * spacing) / point.slope;
      if (Number.isFinite(reach)) {
        workspace.focus(beta, [point.lambda + reach / 2], [reach / 2]);
        end = point.lambda + reach * (1 - 1 / FOCUS_POINTS);
      }
    }
    const next =
      reachTarget(workspace, beta, before, point, target, spacing) ??
      solved(workspace, beta, target, spacing);
    if (!next) break;
    before = point;
    point = next;
    points.push(plain(point));
  }
  return points;
}

function plain({ slope: _, ...point }: Point): CurvePoint {
  return point;
}

/** The point near `target` after `last`; undefined where λ would leave all bounds. */
function reachTarget(
  workspace: Workspace,
  beta: number,
  before: Point | undefined,
  last: Point,
  target: number,
  spacing: number,
): Point | undefined {
  let low = last;
  let high: Point | undefined;
  let lambda = predict(before, last, target);
  for (let i = 0; i < CORRECTIONS && Number.isFinite(lambda); i++) {
    const point = pointAt(workspace, beta, lambda);
    if (Math.abs(point.safety - target) <= OFF * spacing) return point;
    if (point.safety < target) low = point;
    else high = point;
    const newton = point.lambda + (target - point.safety) / point.slope;
    if (high) {
      lambda = newton > low.lambda && newton < high.lambda ? newton : (low.lambda + high.lambda) / 2;
    } else {
      lambda = Math.min(newton, 2 * low.lambda + spacing / last.slope);
    }
  }
  return undefined;
}

/** The point at `target` itself: at a small β the curve has steps, where the slope says nothing of what comes next. */
function solved(workspace: Workspace, beta: number, target: number, spacing: number): Point | undefined {
  const optimum = optimise(workspace, beta, [target]);
  if (optimum.status !== 'optimal') return undefined;
  const point = pointAt(workspace, beta, optimum.lambda[0]);
  return Math.abs(point.safety - target) <= OFF * spacing ? point : undefined;
}

/** λ of a threshold beyond `last`, from the slope there and its change since the point before. */
function predict(before: Point | undefined, last: Point, target: number): number {
  const distance = target - last.safety;
  const rate = 1 / last.slope;
  const bend = before ? (rate - 1 / before.slope) / (last.safety - before.safety) : 0;
  const curved = rate + 0.5 * bend * distance;
  return last.lambda + distance * Math.max(0.5 * rate, Math.min(2 * rate, curved));
}

/**
 * Theorem 1 made visible: projected gradient descent beside projected Newton on the same dual. D is smooth, so steps of
 * 1/L never raise it, and strongly convex around λ*, so the distance to λ* in the end shrinks by a fixed part a pass;
 * Newton's digits double.
 */
import { UserError } from '../errors.ts';
import { type Kernels, loadWasm } from '../wasm.ts';
import { curvatureOf } from './diagnostics.ts';
import { checkLambda, checkProblem, constraintsOf, type DualProblem } from './problem.ts';
import type { Curvature } from './solution.ts';
import { checkedResidual, optimise } from './solve.ts';
import { type Workspace, withWorkspace } from './workspace.ts';

/** One pass over the scores. */
export interface TracePoint {
  readonly lambda: readonly number[];
  /** D(λ) − D(λ*); below about 1e-15 of D it is rounding. */
  readonly gap: number;
  /** Length of ∇D but for the parts that λ ≥ 0 holds back. */
  readonly projectedGradient: number;
}

/** What a method passed through on its way to λ*, one point for each pass over the scores. */
export interface Trace {
  /** The first is the start. */
  readonly points: readonly TracePoint[];
  /** Whether the last point's projected gradient is within the tolerance. */
  readonly converged: boolean;
}

/** The trace of projected gradient descent at one step size. */
export interface DescentTrace extends Trace {
  /** λ := max(0, λ − step·∇D). */
  readonly step: number;
  /** What a pass multiplies the distance to λ* by near λ*, at most: max |1 − step·eigenvalue of the Hessian|. */
  readonly rate: number;
}

/** λ*, and how Newton's method and projected gradient descent get there. */
export interface Convergence {
  readonly lambda: readonly number[];
  readonly dual: number;
  readonly curvature: Curvature;
  /** Steps on the full table, without the subsampled start that `solveDual` makes. */
  readonly newton: Trace;
  readonly gradient: readonly DescentTrace[];
}

/** Where descent starts, its step sizes, and when it ends. */
export interface ConvergenceOptions {
  /** [m]; all 1, as the paper starts, if left out. */
  readonly start?: readonly number[];
  /** Step sizes of gradient descent beside 1/L, L the smoothness. */
  readonly steps?: readonly number[];
  /** Most passes of gradient descent; 1000 if left out. */
  readonly passes?: number;
  /** Projected gradient at which gradient descent ends; 1e-8 if left out. */
  readonly tolerance?: number;
}

const MOST_PASSES = 1e6;

/** Throws a UserError where the thresholds are out of reach. */
export async function convergence(
  problem: DualProblem,
  options: ConvergenceOptions = {},
): Promise<Convergence> {
  return convergenceWith(await loadWasm(), problem, options);
}

/** `convergence` with kernels already loaded. */
export function convergenceWith(
  kernels: Kernels,
  problem: DualProblem,
  options: ConvergenceOptions = {},
): Convergence {
  checkProblem(problem);
  const { beta, thresholds } = problem;
  const { start = thresholds.map(() => 1), steps = [], passes = 1000, tolerance = 1e-8 } = options;
  checkLambda(start, constraintsOf(problem));
  if (!(Number.isSafeInteger(passes) && passes >= 1 && passes <= MOST_PASSES)) {
    throw new UserError(`convergence: expected 1 to ${MOST_PASSES} passes, got ${passes}`);
  }
  for (const step of steps) {
    if (!(step > 0 && Number.isFinite(step)))
      throw new UserError(`convergence: expected steps above 0, got ${step}`);
  }
  if (!(tolerance > 0)) throw new UserError(`convergence: expected a tolerance above 0, got ${tolerance}`);
  return withWorkspace(kernels, problem, (workspace) => {
    const optimum = optimise(workspace, beta, thresholds);
    if (optimum.status !== 'optimal') {
      throw new UserError(
        `convergence: expected thresholds within reach, but the problem is ${optimum.status}`,
        3,
      );
    }
    const { lambda } = optimum;
    const outcome = workspace.evaluate(beta, thresholds, lambda);
    checkedResidual(optimum, outcome, workspace.statistics, beta);
    const { value: dual, hessian } = outcome;
    const curvature = curvatureOf(workspace.statistics, beta, hessian);
    const trace = (path: Iterable<readonly number[]>): Trace => {
      const points: TracePoint[] = [];
      for (const at of path) {
        const { gradient: _, ...point } = pointAt(workspace, problem, at, dual);
        points.push(point);
      }
      return { points, converged: points[points.length - 1].projectedGradient <= tolerance };
    };
    const all = curvature.smoothness > 0 ? [1 / curvature.smoothness, ...steps] : steps;
    return {
      lambda,
      dual,
      curvature,
      newton: trace(workspace.path(beta, thresholds, start)),
      gradient: all.map((step) => ({
        step,
        rate: Math.max(Math.abs(1 - step * curvature.smallest), Math.abs(1 - step * curvature.largest)),
        ...descent(workspace, problem, { start, step, passes, tolerance, dual }),
      })),
    };
  });
}

function pointAt(
  workspace: Workspace,
  { beta, thresholds }: DualProblem,
  lambda: readonly number[],
  dual: number,
): TracePoint & { readonly gradient: readonly number[] } {
  const { value, gradient } = workspace.evaluate(beta, thresholds, lambda);
  const squares = gradient.reduce((sum, g, j) => sum + (lambda[j] > 0 || g < 0 ? g * g : 0), 0);
  return { lambda, gap: value - dual, projectedGradient: Math.sqrt(squares), gradient };
}

function descent(
  workspace: Workspace,
  problem: DualProblem,
  {
    start,
    step,
    passes,
    tolerance,
    dual,
  }: Required<Omit<ConvergenceOptions, 'steps'>> & {
    readonly step: number;
    readonly dual: number;
  },
): Trace {
  const points: TracePoint[] = [];
  let lambda = start;
  for (;;) {
    const { gradient, ...point } = pointAt(workspace, problem, lambda, dual);
    points.push(point);
    const converged = point.projectedGradient <= tolerance;
    if (converged || points.length > passes) return { points, converged };
    lambda = lambda.map((value, j) => Math.max(0, value - step * gradient[j]));
  }
}

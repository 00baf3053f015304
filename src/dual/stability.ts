/**
 * How far λ* may be from that of the true scores, where each score is off by at most ε: docs/theory.md has the proofs.
 *
 * At any λ, an error of ε_r in the reward and ε_i in safety score i moves each exponent by at most (ε_r + Σ λ_i ε_i)/β
 * either way; the largest and the smallest E[g_j] that leaves are found exactly, prompt by prompt. With one constraint
 * the gradient of the dual grows with λ, so the λ at which these two cross the threshold hold λ* between them: nothing
 * local is in that. With several, λ* stays in each ball on whose surface the gradient still points outwards, which the
 * curvature at λ* promises up to what a policy in the ball can differ from the one at λ*.
 */
import { UserError } from '../errors.ts';
import { type Kernels, loadWasm } from '../wasm.ts';
import { eigenvalues } from './linear.ts';
import { checkProblem, type DualProblem } from './problem.ts';
import { forRows } from './rows.ts';
import type { Interval } from './solution.ts';
import { optimise } from './solve.ts';
import { pairwiseSum } from './sums.ts';
import { type Statistics, unitOf } from './table.ts';
import { type Ends, extremes } from './tilt.ts';
import { withWorkspace } from './workspace.ts';

/** By how much each score may be off at most. */
export interface ScoreErrors {
  readonly reward: number;
  /** [m]. */
  readonly safety: readonly number[];
}

/** From one error for all scores, or one for the reward and each safety score in turn. */
export function scoreErrors(errors: readonly number[], constraints: number): ScoreErrors {
  const each = errors.length === 1 ? new Array<number>(constraints + 1).fill(errors[0]) : errors;
  if (each.length !== constraints + 1) {
    throw new UserError(
      `score errors: expected one for all scores, or ${constraints + 1}, for the reward and each safety score; got ${errors.length}`,
    );
  }
  const [reward, ...safety] = each;
  return { reward, safety };
}

/** How far λ* may lie from the one that was found, if scores are off by as much as their errors. */
export interface Stability {
  readonly errors: ScoreErrors;
  readonly lambda: readonly number[];
  /** Hold λ* of whatever scores lie within the errors; infinite (null in JSON) where nothing bounds it. */
  readonly lambdaIntervals: readonly Interval[];
  /**
   * monotone: one constraint, the interval is the exact range of λ* (of a margin: an upper bound of it).
   * ball: several, from the curvature around λ*, for small errors.
   */
  readonly method: 'monotone' | 'ball';
  /** By how much E[g_j] − threshold_j at λ may be off. */
  readonly gradientErrors: readonly number[];
  /** What the distance from λ to each end comes to as errors shrink: gradient errors over the strong convexity at λ. */
  readonly firstOrder: readonly number[];
}

/** Throws a UserError where the thresholds are out of reach. */
export async function stability(problem: DualProblem, errors: ScoreErrors): Promise<Stability> {
  return stabilityWith(await loadWasm(), problem, errors);
}

/** `stability` with kernels already loaded. */
export function stabilityWith(kernels: Kernels, problem: DualProblem, errors: ScoreErrors): Stability {
  checkProblem(problem);
  const m = problem.thresholds.length;
  if (errors.safety.length !== m) {
    throw new UserError(
      `score errors: expected one for each of the ${m} safety scores, got ${errors.safety.length}`,
    );
  }
  for (const error of [errors.reward, ...errors.safety]) {
    if (!(error >= 0 && Number.isFinite(error))) {
      throw new UserError(`score errors: expected finite numbers from 0 up, got ${error}`);
    }
  }
  const { lambda, hessian, statistics, unit } = withWorkspace(kernels, problem, (workspace) => {
    const optimum = optimise(workspace, problem.beta, problem.thresholds);
    if (optimum.status !== 'optimal') {
      throw new UserError(
        `score errors: expected thresholds within reach, but the problem is ${optimum.status}`,
        3,
      );
    }
    const outcome = workspace.evaluate(problem.beta, problem.thresholds, optimum.lambda);
    return {
      lambda: optimum.lambda,
      hessian: outcome.hessian,
      statistics: workspace.statistics,
      unit: unitOf(workspace.statistics, problem.beta),
    };
  });
  const scale = statistics.safetyRange.map((range) => range || 1);
  const local = localOf(kernels, problem, errors, lambda, statistics, scale);
  const convexity = eigenvalues(
    hessian.map((row, i) => row.map((value, j) => value / scale[i] / scale[j])),
  )[0];
  const gradientErrors = local.gradientErrors;
  const size = norm(gradientErrors.map((error, j) => error / scale[j]));
  const given = {
    errors,
    lambda,
    gradientErrors,
    firstOrder: scale.map((s) => firstOrder(size, convexity) / s),
  };
  if (m === 1) {
    const most = (LIMIT * unit) / scale[0];
    const interval = monotone(
      (at, end) => gradientRange(kernels, problem, errors, [at], statistics, end)[0],
      lambda[0],
      firstOrder(gradientErrors[0], hessian[0][0]),
      most,
    );
    return { ...given, method: 'monotone', lambdaIntervals: [interval] };
  }
  const radius = local.radius(size);
  return {
    ...given,
    method: 'ball',
    lambdaIntervals: lambda.map((value, j) => [
      Math.max(0, value - radius / scale[j]),
      value + radius / scale[j],
    ]),
  };
}

/** λ·range(g) beyond this many times the unit of the objective is no price: the reward no longer counts. */
const LIMIT = 1e6;

const norm = (x: readonly number[]) => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));

function firstOrder(size: number, convexity: number): number {
  return size === 0 ? 0 : size / Math.max(0, convexity);
}

/** The least and the largest E[g_j] − threshold_j at λ over all scores within the errors. */
function gradientRange(
  kernels: Kernels,
  problem: DualProblem,
  errors: ScoreErrors,
  lambda: readonly number[],
  statistics: Statistics,
  wanted: Ends = 'both',
): Interval[] {
  const { prompts, thresholds, relative, beta } = problem;
  const rows = lambda.map(() => [new Float64Array(prompts), new Float64Array(prompts)]);
  const tilts = lambda.map(
    (_, j) =>
      lambda.reduce((sum, price, i) => (i === j ? sum : sum + price * errors.safety[i]), errors.reward) /
      beta,
  );
  forRows(kernels, problem, lambda, ({ count, policy, safety, reference }, n) => {
    for (const [j, [low, high]] of rows.entries()) {
      const values = safety[j];
      const bounds = extremes(
        kernels,
        policy,
        values,
        count,
        tilts[j],
        errors.safety[j],
        lambda[j] / beta,
        wanted,
      );
      // A margin follows the reference mean, which errs too.
      const off = relative?.[j] ? reference[j] - statistics.safety[j] : 0;
      const slack = relative?.[j] ? errors.safety[j] : 0;
      low[n] = bounds[0] - off - slack;
      high[n] = bounds[1] - off + slack;
    }
  });
  return rows.map(([low, high], j) => [
    pairwiseSum(low) / prompts - thresholds[j],
    pairwiseSum(high) / prompts - thresholds[j],
  ]);
}

/** Steps of the search for an end of the interval. */
const STEPS = 100;
const PRECISE = 1e-10;

/**
 * The λ between which the gradient of scores within the errors can be 0: it grows with λ for any scores, so its least
 * and its largest value do.
 */
function monotone(
  at: (lambda: number, end: Ends) => Interval,
  lambda: number,
  near: number,
  most: number,
): Interval {
  const least = (x: number) => at(x, 'low')[0];
  const largest = (x: number) => at(x, 'high')[1];
  const guess = Math.min(most, near) || most * 1e-6;
  // From above: the least λ found at which no scores within the errors still ask for more.
  let high = lambda;
  for (let step = guess; least(high) < 0; step *= 2) {
    if (high >= most) {
      high = Number.POSITIVE_INFINITY;
      break;
    }
    high = Math.min(most, lambda + step);
  }
  if (Number.isFinite(high) && high > lambda) high = crossing(least, lambda, high)[1];
  let low = lambda;
  for (let step = guess; low > 0 && largest(low) > 0; step *= 2) low = Math.max(0, lambda - step);
  if (low < lambda && largest(low) <= 0) low = crossing(largest, low, lambda)[0];
  return [low, high];
}

/** Ends, close together, between which a growing function changes its sign (Illinois variant of regula falsi). */
function crossing(f: (x: number) => number, low: number, high: number): Interval {
  let [fLow, fHigh] = [f(low), f(high)];
  for (let i = 0; i < STEPS && high - low > PRECISE * high && fHigh !== fLow; i++) {
    // Every third step halves, so that both ends close in.
    const x = i % 3 === 2 ? (low + high) / 2 : low - (fLow * (high - low)) / (fHigh - fLow);
    if (!(x > low && x < high)) break;
    const value = f(x);
    if (value < 0) {
      low = x;
      fLow = value;
      fHigh /= 2;
    } else {
      high = x;
      fHigh = value;
      fLow /= 2;
    }
  }
  return [low, high];
}

interface Local {
  readonly gradientErrors: readonly number[];
  /** Of the ball around λ that holds λ* of any scores within the errors, in units of scaled λ. */
  radius(gradientError: number): number;
}

const SMALLEST_RADIUS = 1e-12;
const DOUBLINGS = 80;
const HALVINGS = 50;

function localOf(
  kernels: Kernels,
  problem: DualProblem,
  errors: ScoreErrors,
  lambda: readonly number[],
  statistics: Statistics,
  scale: readonly number[],
): Local {
  const { prompts, beta, thresholds } = problem;
  const m = lambda.length;
  const actual = gradientRange(
    kernels,
    problem,
    { reward: 0, safety: lambda.map(() => 0) },
    lambda,
    statistics,
  );
  const bounds = gradientRange(kernels, problem, errors, lambda, statistics);
  const gradientErrors = thresholds.map((_, j) =>
    Math.max(bounds[j][1] - actual[j][1], actual[j][0] - bounds[j][0], 0),
  );
  if (m === 1) return { gradientErrors, radius: () => Number.NaN };
  const covariances = new Float64Array(prompts * m * m);
  const ranges = new Float64Array(prompts);
  forRows(kernels, problem, lambda, ({ count, policy, safety }, n) => {
    const means = safety.map((values) =>
      policy.reduce((sum, p, k) => (k < count ? sum + p * values[k] : sum), 0),
    );
    let squares = 0;
    for (let i = 0; i < m; i++) {
      let [least, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (let k = 0; k < count; k++) {
        least = Math.min(least, safety[i][k]);
        largest = Math.max(largest, safety[i][k]);
      }
      squares += ((largest - least) / scale[i]) ** 2;
      for (let j = 0; j <= i; j++) {
        let sum = 0;
        for (let k = 0; k < count; k++)
          sum += policy[k] * (safety[i][k] - means[i]) * (safety[j][k] - means[j]);
        const entry = sum / scale[i] / scale[j];
        covariances[(n * m + i) * m + j] = covariances[(n * m + j) * m + i] = entry;
      }
    }
    ranges[n] = Math.sqrt(squares);
  });
  const safetyError = norm(errors.safety.map((error, j) => error / scale[j]));
  const tilt = lambda.reduce((sum, price, j) => sum + price * errors.safety[j], errors.reward) / beta;
  /** What the gradient of any scores within the errors gains at least on the way to the surface of the ball. */
  const gain = (radius: number) => {
    const shares = ranges.map((range) => {
      const rate = (range + 2 * safetyError) / beta;
      const length = rate === 0 ? radius : (1 - kernels.exp(-radius * rate)) / rate;
      return (kernels.exp(-2 * tilt) * length) / beta;
    });
    const products = new Float64Array(prompts);
    const matrix = Array.from({ length: m }, (_, i) =>
      Array.from({ length: m }, (_, j) => {
        for (let n = 0; n < prompts; n++) products[n] = shares[n] * covariances[(n * m + i) * m + j];
        return pairwiseSum(products) / prompts;
      }),
    );
    const least = Math.sqrt(Math.max(0, eigenvalues(matrix)[0]));
    const lost = safetyError * Math.sqrt(pairwiseSum(shares) / prompts);
    return Math.max(0, least - lost) ** 2;
  };
  return { gradientErrors, radius: (gradientError) => smallestRadius(gain, gradientError) };
}

/** The smallest radius found at which `gain` exceeds the error; infinite where none does. */
function smallestRadius(gain: (radius: number) => number, error: number): number {
  if (error === 0) return 0;
  let high = SMALLEST_RADIUS;
  for (let i = 0; gain(high) <= error; i++) {
    if (i === DOUBLINGS) return Number.POSITIVE_INFINITY;
    high *= 2;
  }
  let low = high / 2;
  for (let i = 0; i < HALVINGS && high - low > PRECISE * high; i++) {
    const middle = (low + high) / 2;
    if (gain(middle) > error) high = middle;
    else low = middle;
  }
  return high;
}

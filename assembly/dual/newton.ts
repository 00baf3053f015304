/**
 * Projected Newton for min D(λ), λ ≥ 0. It asks for evaluations instead of making them (`next` says whether one more
 * is wanted, at `lambda` and `beta`), so that the same solver runs over one memory, over threads and over a stream.
 *
 * Each step minimises the quadratic model over the part of λ ≥ 0 inside a trust box, which settles the active set, and
 * is taken if D falls. Variables are x_j = λ_j·range(g_j), so that they carry the reward's unit and one box fits all.
 * Where β is so small that D is all but piecewise linear and steps stall, the problem is solved for a large β first,
 * which is then brought down.
 */
import { allocate } from '../memory';
import { Box, createBox, get, minimise, set } from './box';

// What the search ended with.
export const RUNNING: i32 = 0;
export const CONVERGED: i32 = 1;
/** D fell below what any feasible policy allows. */
export const BELOW: i32 = 2;
/** λ reached the limit beyond which the reward is lost in rounding. */
export const DIVERGED: i32 = 3;
/** The limit on evaluations was reached. */
export const STOPPED: i32 = 4;

const EPSILON: f64 = 2.220446049250313e-16;
const TOLERANCE: f64 = 1e-11;
/** A step shorter than this part of the unit moves no digit that matters. */
const SHORTEST_STEP: f64 = 1e-12;
/** In units of x, D bends over lengths of β. */
const LAST_STEP: f64 = 1e-3;
const STAGE_TOLERANCE: f64 = 1e-3;
const LIMIT: f64 = 1e6;
const STALL: i32 = 40;
/** The β of the first stage, in units of x. */
const LARGE_BETA: f64 = 0.25;
const MOST: i32 = 500;

@unmanaged
export class Newton {
  constraints: i32;
  status: i32;
  evaluations: i32;
  /** Whether the evaluation wanted should be the last one. */
  last: bool;
  /** Whether the last evaluation was at x. */
  accepted: bool;
  /** Whether `next` has to take the evaluation as it is, not judge it as a step. */
  first: bool;
  /** The β of the evaluation wanted, and the one asked for. */
  beta: f64;
  target: f64;
  /** Mean range of the rewards plus β·mean log K: the unit of x. */
  unit: f64;
  /** A feasible policy's objective is at least this, and D at least that. */
  least: f64;
  /** Half the side of the trust box. */
  radius: f64;
  /** The value at x and at the trial. */
  value: f64;
  trialValue: f64;
  /** What the model promised, and the slope along the step, both negative. */
  predicted: f64;
  slope: f64;
  /** Number of evaluations since the β in use was set. */
  since: i32;
  /** f64[m]: a power of two near each range, or 0 for a constant score, whose λ stays 0. */
  range: usize;
  /** f64[m]: mean of the row middles minus the threshold. */
  offset: usize;
  /** f64[m]: the λ of the evaluation wanted. */
  lambda: usize;
  /** f64[m] and f64[m][m], unscaled, at the trial. */
  gradient: usize;
  hessian: usize;
  /** f64[m]: the point, its scaled gradient, and the trial. */
  x: usize;
  slopes: usize;
  trial: usize;
  box: Box;
}

export function createNewton(constraints: i32): usize {
  const newton = changetype<Newton>(allocate(offsetof<Newton>()));
  if (changetype<usize>(newton) == 0) return 0;
  const vector = (<usize>constraints) << 3;
  newton.constraints = constraints;
  newton.range = allocate(vector);
  newton.offset = allocate(vector);
  newton.lambda = allocate(vector);
  newton.gradient = allocate(vector);
  newton.hessian = allocate(vector * constraints);
  newton.x = allocate(vector);
  newton.slopes = allocate(vector);
  newton.trial = allocate(vector);
  newton.box = changetype<Box>(createBox(constraints));
  return changetype<usize>(newton.box) == 0 ? 0 : changetype<usize>(newton);
}

/** Starts from the λ in `newton.lambda`; range and offset are filled in. */
export function begin(newton: Newton, beta: f64, unit: f64, least: f64): void {
  newton.status = RUNNING;
  newton.evaluations = 0;
  newton.since = 0;
  newton.first = true;
  newton.last = false;
  newton.beta = beta;
  newton.target = beta;
  newton.unit = unit;
  newton.least = least;
  newton.radius = 0.25 * unit;
  for (let j = 0; j < newton.constraints; j++) {
    const range = powerOfTwoNear(get(newton.range, j));
    set(newton.range, j, range);
    if (range == 0.0) set(newton.lambda, j, 0.0);
    const x = max(0.0, min(get(newton.lambda, j) * range, LIMIT * unit));
    set(newton.trial, j, x);
    set(newton.lambda, j, range == 0.0 ? 0.0 : x / range);
  }
}

/** The largest power of two that is not above x; scaling by it rounds nothing. */
function powerOfTwoNear(x: f64): f64 {
  return reinterpret<f64>(reinterpret<u64>(x) & 0x7ff0000000000000);
}

/** Takes the sums of `evaluateBlocks` over all rows: mean value without the mean row maximum, gradient, Hessian. */
export function absorb(newton: Newton, sums: usize, prompts: i32): void {
  const m = newton.constraints;
  const rows = <f64>prompts;
  let value = get(sums, 0) / rows;
  let lower = sums + ((<usize>(1 + m)) << 3);
  for (let i = 0; i < m; i++) {
    value += get(newton.lambda, i) * get(newton.offset, i);
    set(newton.gradient, i, get(sums, 1 + i) / rows + get(newton.offset, i));
    for (let j = 0; j <= i; j++) {
      const entry = load<f64>(lower) / (rows * newton.beta);
      lower += 8;
      set(newton.hessian, i * m + j, entry);
      set(newton.hessian, j * m + i, entry);
    }
  }
  newton.trialValue = value;
}

/** Judges the evaluation; true when another one is wanted. */
export function next(newton: Newton): bool {
  newton.evaluations++;
  newton.since++;
  newton.accepted = newton.first || improves(newton);
  if (newton.accepted) accept(newton);
  newton.first = false;
  return propose(newton);
}

function scaledGradient(newton: Newton, j: i32): f64 {
  const range = get(newton.range, j);
  return range == 0.0 ? 0.0 : get(newton.gradient, j) / range;
}

/** Whether the trial is better than x; sets the trust radius for the next step. */
function improves(newton: Newton): bool {
  const m = newton.constraints;
  let slope = 0.0;
  let size = 0.0;
  let magnitude = newton.unit;
  for (let j = 0; j < m; j++) {
    const d = get(newton.trial, j) - get(newton.x, j);
    slope += scaledGradient(newton, j) * d;
    size = max(size, abs(d));
    magnitude += get(newton.trial, j);
  }
  const change = newton.trialValue - newton.value;
  const noise = 16.0 * EPSILON * magnitude;
  // D is convex: a slope still downhill at the trial proves that D fell all the way, even where rounding hides it.
  const better = slope <= 0.0 || (change <= noise && slope <= -0.9 * newton.slope);
  if (!better) {
    // The tangents at both ends meet below the minimum along the step.
    const meet = (change - slope) / (newton.slope - slope);
    newton.radius = size * max(0.05, min(0.6, meet));
    return false;
  }
  if (slope <= 0.5 * newton.slope && size >= 0.9 * newton.radius) newton.radius *= 4.0;
  else if (change > 0.1 * newton.predicted && -newton.predicted > noise)
    newton.radius = max(0.5 * size, 0.25 * newton.radius);
  return true;
}

function accept(newton: Newton): void {
  const m = newton.constraints;
  newton.value = newton.trialValue;
  for (let i = 0; i < m; i++) {
    set(newton.x, i, get(newton.trial, i));
    set(newton.slopes, i, scaledGradient(newton, i));
    const a = get(newton.range, i);
    for (let j = 0; j < m; j++) {
      const b = get(newton.range, j);
      set(newton.box.hessian, i * m + j, a == 0.0 || b == 0.0 ? 0.0 : get(newton.hessian, i * m + j) / a / b);
    }
  }
}

/** Sets the next trial, or ends the search with λ at x. */
function propose(newton: Newton): bool {
  const m = newton.constraints;
  const staged = newton.beta > newton.target;
  let steepest = 0.0;
  let magnitude = newton.unit;
  let escaping = false;
  for (let j = 0; j < m; j++) {
    const x = get(newton.x, j);
    const slope = get(newton.slopes, j);
    magnitude += x;
    if (x >= LIMIT * newton.unit && slope < 0.0) escaping = true;
    if (x > 0.0 || slope < 0.0) steepest = max(steepest, abs(slope));
  }
  // Rounding of the scores, divided by β, is what the softmax sees.
  const tolerance = staged ? STAGE_TOLERANCE : max(TOLERANCE, (4.0 * EPSILON * magnitude) / newton.beta);
  if (steepest <= tolerance) {
    if (!staged) return end(newton, CONVERGED);
    return restart(newton, max(newton.target, newton.beta * 0.125));
  }
  if (!staged && newton.value < newton.least - 1e-9 * magnitude) return end(newton, BELOW);
  if (escaping) return end(newton, DIVERGED);
  if (newton.evaluations >= MOST) return end(newton, STOPPED);
  if (newton.since == STALL && !staged && newton.target < LARGE_BETA * newton.unit)
    return restart(newton, LARGE_BETA * newton.unit);
  step(newton);
  let length = 0.0;
  for (let j = 0; j < m; j++) length = max(length, abs(get(newton.trial, j) - get(newton.x, j)));
  // Newton's error squares: after a step this short, less than rounding is left.
  newton.last = !staged && length <= LAST_STEP * newton.beta;
  if (length > (staged ? 0.0 : SHORTEST_STEP * newton.unit)) return true;
  return staged ? restart(newton, max(newton.target, newton.beta * 0.125)) : end(newton, CONVERGED);
}

function step(newton: Newton): void {
  const m = newton.constraints;
  const box = newton.box;
  for (let j = 0; j < m; j++) {
    const x = get(newton.x, j);
    const fixed = get(newton.range, j) == 0.0;
    set(box.linear, j, get(newton.slopes, j));
    set(box.low, j, fixed ? 0.0 : max(-x, -newton.radius));
    set(box.high, j, fixed ? 0.0 : min(newton.radius, LIMIT * newton.unit - x));
  }
  minimise(box, 1e-12 / newton.unit);
  let slope = 0.0;
  let curvature = 0.0;
  for (let i = 0; i < m; i++) {
    const x = get(newton.x, i);
    const d = get(box.solution, i);
    slope += get(newton.slopes, i) * d;
    for (let j = 0; j < m; j++) curvature += d * get(box.hessian, i * m + j) * get(box.solution, j);
    const range = get(newton.range, i);
    const trial = max(0.0, x + d);
    set(newton.trial, i, trial);
    set(newton.lambda, i, range == 0.0 ? 0.0 : trial / range);
  }
  newton.slope = slope;
  newton.predicted = slope + 0.5 * curvature;
}

/** Goes on from x with another β. */
function restart(newton: Newton, beta: f64): bool {
  newton.beta = beta;
  newton.since = beta > newton.target ? 0 : STALL + 1;
  newton.radius = 0.25 * newton.unit;
  newton.first = true;
  for (let j = 0; j < newton.constraints; j++) {
    const range = get(newton.range, j);
    set(newton.trial, j, get(newton.x, j));
    set(newton.lambda, j, range == 0.0 ? 0.0 : get(newton.x, j) / range);
  }
  return true;
}

function end(newton: Newton, status: i32): bool {
  newton.status = status;
  for (let j = 0; j < newton.constraints; j++) {
    const range = get(newton.range, j);
    set(newton.lambda, j, range == 0.0 ? 0.0 : get(newton.x, j) / range);
  }
  return false;
}

/** Whether the evaluation wanted should be the last one, so that it pays to describe the rows along with it. */
export function isLast(newton: Newton): bool {
  return newton.last;
}

/** Whether value, gradient and Hessian in `newton` are those at the final λ. */
export function endsThere(newton: Newton): bool {
  return newton.accepted && newton.status == CONVERGED;
}

export function statusOf(newton: Newton): i32 {
  return newton.status;
}
export function lambdaOf(newton: Newton): usize {
  return newton.lambda;
}
export function rangeOf(newton: Newton): usize {
  return newton.range;
}
export function offsetOf(newton: Newton): usize {
  return newton.offset;
}
export function betaOf(newton: Newton): f64 {
  return newton.beta;
}
export function evaluationsOf(newton: Newton): i32 {
  return newton.evaluations;
}
export function gradientOf(newton: Newton): usize {
  return newton.gradient;
}
export function hessianOf(newton: Newton): usize {
  return newton.hessian;
}
export function valueOf(newton: Newton): f64 {
  return newton.trialValue;
}

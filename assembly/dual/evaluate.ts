/** Value, gradient and Hessian of the dual in one pass over the scores, block of rows by block of rows. */
import { logAll, POWER_SCALE } from '../math';
import { get, set } from './box';
import { describeRow, descriptionWidth } from './describe';
import { BLOCK, Scores } from './scores';
import {
  compact,
  exponentiate,
  kept,
  plane,
  POWER_CUTOFF,
  reduce,
  Scratch,
  safety,
  top,
  total,
  weights,
} from './softmax';

/** f64 a block's sums take: value, gradient, lower triangle of the Hessian row by row. */
// @ts-ignore: decorator
@inline export function evaluationWidth(constraints: i32): i32 {
  return 1 + constraints + ((constraints * (constraints + 1)) >> 1);
}

/**
 * Evaluates blocks of rows; with `out` other than 0, each row is described too, from `out` on for the first row of the
 * table (describe.ts); with `times` other than 0, row n counts times[n] times (f64). For each block from `firstBlock` to `endBlock` (not included), writes the sums over its rows of
 * β·log mean_k exp(s), E_p[g] and Cov_p[g] into f64[blocks][evaluationWidth], all for centred scores.
 */
export function evaluateBlocks(
  scores: Scores,
  scratch: Scratch,
  lambda: usize,
  beta: f64,
  firstBlock: i32,
  endBlock: i32,
  partial: usize,
  out: usize,
  times: usize,
): void {
  const m = scores.constraints;
  const size = (<usize>evaluationWidth(m)) << 3;
  for (let block = firstBlock; block < endBlock; block++) {
    const sums = partial + (<usize>block) * size;
    const firstRow = block * BLOCK;
    const endRow = min(firstRow + BLOCK, scores.prompts);
    memory.fill(sums, 0, size);
    let value = 0.0;
    for (let row = firstRow; row < endRow; row++) {
      const counted = times == 0 ? 1.0 : get(times, row);
      if (counted == 0.0) {
        set(scratch.total, row - firstRow, 1.0);
        continue;
      }
      const first = (<usize>load<u32>(scores.start + ((<usize>row) << 2))) << 3;
      reduce(scores, scratch, lambda, beta, first, load<i32>(scores.count + ((<usize>row) << 2)));
      value += counted * top;
      let weight: f64;
      if (m == 1 && !compact && out == 0) {
        weight = sweep(scratch.score, beta, sums + 8, counted);
      } else {
        exponentiate(scratch, beta);
        moments(scratch, m, sums + 8, counted);
        weight = total;
        if (out != 0) describeRow(scores, scratch, beta, row, out + (<usize>(row * descriptionWidth(m)) << 3));
      }
      set(scratch.total, row - firstRow, weight);
    }
    const rows = endRow - firstRow;
    logAll(scratch.total, rows);
    let entropy = 0.0;
    for (let i = 0; i < rows; i++) {
      const row = firstRow + i;
      const ratio = get(scratch.total, i) - get(scores.logCount, row);
      entropy += times == 0 ? ratio : get(times, row) * ratio;
    }
    store<f64>(sums, value + beta * entropy);
  }
}

/**
 * One constraint and a row taken as a whole: exp, mean and variance in one sweep, no weight stored. Returns the total
 * weight. The scores are centred, so the squares cancel to within an ulp of the squared range.
 */
function sweep(score: usize, beta: f64, sums: usize, counted: f64): f64 {
  const size = (<usize>kept) << 3;
  const g = safety;
  const shift = f64x2.splat(top);
  const scale = f64x2.splat(POWER_SCALE / beta);
  const cutoff = f64x2.splat(POWER_CUTOFF);
  const zero = f64x2.splat(0.0);
  let w0 = zero;
  let w1 = zero;
  let a0 = zero;
  let a1 = zero;
  let b0 = zero;
  let b1 = zero;
  let i: usize = 0;
  for (; i + 32 <= size; i += 32) {
    const e0 = weights(v128.load(score + i), shift, scale, cutoff);
    const e1 = weights(v128.load(score + i, 16), shift, scale, cutoff);
    const g0 = v128.load(g + i);
    const g1 = v128.load(g + i, 16);
    const p0 = f64x2.mul(e0, g0);
    const p1 = f64x2.mul(e1, g1);
    w0 = f64x2.add(w0, e0);
    w1 = f64x2.add(w1, e1);
    a0 = f64x2.add(a0, p0);
    a1 = f64x2.add(a1, p1);
    b0 = f64x2.add(b0, f64x2.mul(p0, g0));
    b1 = f64x2.add(b1, f64x2.mul(p1, g1));
  }
  if (i < size) {
    const e = weights(v128.load(score + i), shift, scale, cutoff);
    const p = f64x2.mul(e, v128.load(g + i));
    w0 = f64x2.add(w0, e);
    a0 = f64x2.add(a0, p);
    b0 = f64x2.add(b0, f64x2.mul(p, v128.load(g + i)));
  }
  const weight = lanes(f64x2.add(w0, w1));
  const mean = lanes(f64x2.add(a0, a1)) / weight;
  const square = lanes(f64x2.add(b0, b1)) / weight;
  set(sums, 0, get(sums, 0) + counted * mean);
  set(sums, 1, get(sums, 1) + counted * max(0.0, square - mean * mean));
  return weight;
}

// @ts-ignore: decorator
@inline export function lanes(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}

/** Adds the mean and, after it, the covariance of the safety scores under the last softmax. */
function moments(scratch: Scratch, m: i32, sums: usize, counted: f64): void {
  const size = (<usize>kept) << 3;
  const weight = scratch.weight;
  const mean = scratch.mean;
  const inverse = 1.0 / total;
  const share = counted * inverse;
  for (let j = 0; j < m; j++) {
    const g = safety + (<usize>j) * plane;
    let sum = f64x2.splat(0.0);
    for (let i: usize = 0; i < size; i += 16) {
      sum = f64x2.add(sum, f64x2.mul(v128.load(weight + i), v128.load(g + i)));
    }
    const expected = lanes(sum) * inverse;
    set(mean, j, expected);
    set(sums, j, get(sums, j) + counted * expected);
  }
  let to = sums + ((<usize>m) << 3);
  for (let i = 0; i < m; i++) {
    const g = safety + (<usize>i) * plane;
    const product = scratch.product;
    const centre = v128.load64_splat(mean + ((<usize>i) << 3));
    for (let k: usize = 0; k < size; k += 16) {
      v128.store(product + k, f64x2.mul(v128.load(weight + k), f64x2.sub(v128.load(g + k), centre)));
    }
    let j = 0;
    for (; j < i; j += 2) {
      // Two entries at once, and with the diagonal left where i is even.
      const a = safety + (<usize>j) * plane;
      const b = a + plane;
      const aCentre = v128.load64_splat(mean + ((<usize>j) << 3));
      const bCentre = v128.load64_splat(mean + ((<usize>j) << 3), 8);
      let aSum = f64x2.splat(0.0);
      let bSum = aSum;
      for (let k: usize = 0; k < size; k += 16) {
        const p = v128.load(product + k);
        aSum = f64x2.add(aSum, f64x2.mul(p, f64x2.sub(v128.load(a + k), aCentre)));
        bSum = f64x2.add(bSum, f64x2.mul(p, f64x2.sub(v128.load(b + k), bCentre)));
      }
      set(to, 0, get(to, 0) + lanes(aSum) * share);
      set(to, 1, get(to, 1) + lanes(bSum) * share);
      to += 16;
    }
    if (j == i) {
      let sum = f64x2.splat(0.0);
      for (let k: usize = 0; k < size; k += 16) {
        sum = f64x2.add(sum, f64x2.mul(v128.load(product + k), f64x2.sub(v128.load(g + k), centre)));
      }
      set(to, 0, get(to, 0) + lanes(sum) * share);
      to += 8;
    }
  }
}

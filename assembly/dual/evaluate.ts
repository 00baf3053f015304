/** Value, gradient and Hessian of the dual in one pass over the scores, block of rows by block of rows. */
import { logAll, POWER_SCALE, powerConstant, powerRest, powerTable } from '../math';
import { get, set } from './box';
import { describeRow, descriptionWidth } from './describe';
import { BLOCK, Scores } from './scores';
import {
  beginPowers,
  compact,
  exponentiate,
  kept,
  lanes,
  odd,
  plane,
  reduce,
  Scratch,
  safety,
  top,
  total,
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
      if (m == 1 && out == 0) {
        weight = compact ? sweepGathered(scratch, beta, sums + 8, counted) : sweep(scratch, beta, sums + 8, counted);
      } else {
        exponentiate(scores, scratch, beta);
        moments(scratch, m, sums + 8, counted);
        weight = total;
        if (out != 0) {
          describeRow(scores, scratch, lambda, beta, row, out + (<usize>(row * descriptionWidth(m)) << 3));
        }
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
function sweep(scratch: Scratch, beta: f64, sums: usize, counted: f64): f64 {
  const size = (<usize>kept) << 3;
  const values = scratch.score;
  const table = scratch.weight;
  const g = safety;
  beginPowers(values, table, size, top, POWER_SCALE / beta);
  const c1 = powerConstant(1);
  const c2 = powerConstant(2);
  const c3 = powerConstant(3);
  const c4 = powerConstant(4);
  const zero = f64x2.splat(0.0);
  let w0 = zero;
  let w1 = zero;
  let a0 = zero;
  let a1 = zero;
  let b0 = zero;
  let b1 = zero;
  let i: usize = 0;
  for (; i + 32 <= size; i += 32) {
    const e0 = powerRest(v128.load(table + i), v128.load(values + i), c1, c2, c3, c4);
    const e1 = powerRest(v128.load(table + i, 16), v128.load(values + i, 16), c1, c2, c3, c4);
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
    const e = powerRest(v128.load(table + i), v128.load(values + i), c1, c2, c3, c4);
    const p = f64x2.mul(e, v128.load(g + i));
    w0 = f64x2.add(w0, e);
    a0 = f64x2.add(a0, p);
    b0 = f64x2.add(b0, f64x2.mul(p, v128.load(g + i)));
  }
  return addOne(f64x2.add(w0, w1), f64x2.add(a0, a1), f64x2.add(b0, b1), sums, counted);
}

/** The same for a row of which few scores count, taken from their places. */
function sweepGathered(scratch: Scratch, beta: f64, sums: usize, counted: f64): f64 {
  const values = scratch.score;
  const index = scratch.index;
  const g = safety;
  const shift = f64x2.splat(top);
  const scale = f64x2.splat(POWER_SCALE / beta);
  const c0 = powerConstant(0);
  const c1 = powerConstant(1);
  const c2 = powerConstant(2);
  const c3 = powerConstant(3);
  const c4 = powerConstant(4);
  let w = f64x2.splat(0.0);
  let a = w;
  let b = w;
  const end = index + ((<usize>kept) << 2);
  for (let p = index; p < end; p += 8) {
    const k = (<usize>load<u32>(p)) << 3;
    const pad = odd && p + 8 == end;
    const l = pad ? k : (<usize>load<u32>(p, 4)) << 3;
    const s = v128.load64_lane(values + l, v128.load64_zero(values + k), 1);
    const h = v128.load64_lane(g + l, v128.load64_zero(g + k), 1);
    const y = f64x2.mul(f64x2.sub(s, shift), scale);
    const n = f64x2.add(y, c0);
    let e = powerRest(powerTable(n), f64x2.sub(y, f64x2.sub(n, c0)), c1, c2, c3, c4);
    if (pad) e = f64x2.replace_lane(e, 1, 0.0);
    const eh = f64x2.mul(e, h);
    w = f64x2.add(w, e);
    a = f64x2.add(a, eh);
    b = f64x2.add(b, f64x2.mul(eh, h));
  }
  return addOne(w, a, b, sums, counted);
}

/** Adds mean and variance, from the sums of weights, of the scores and of their squares; returns the total weight. */
// @ts-ignore: decorator
@inline function addOne(w: v128, a: v128, b: v128, sums: usize, counted: f64): f64 {
  const weight = lanes(w);
  const mean = lanes(a) / weight;
  const square = lanes(b) / weight;
  set(sums, 0, get(sums, 0) + counted * mean);
  set(sums, 1, get(sums, 1) + counted * max(0.0, square - mean * mean));
  return weight;
}

/**
 * Adds the mean and, after it, the covariance of the safety scores under the last softmax. The scores are centred, so what
 * cancels of the products is within an ulp of the ranges' product.
 */
function moments(scratch: Scratch, m: i32, sums: usize, counted: f64): void {
  const size = (<usize>kept) << 3;
  const weight = scratch.weight;
  const mean = scratch.mean;
  const inverse = 1.0 / total;
  let to = sums + ((<usize>m) << 3);
  let i = 0;
  for (; i + 1 < m; i += 2) {
    const g = safety + (<usize>i) * plane;
    const h = g + plane;
    const zero = f64x2.splat(0.0);
    let gSum = zero;
    let hSum = zero;
    let gg = zero;
    let hg = zero;
    let hh = zero;
    for (let k: usize = 0; k < size; k += 16) {
      const w = v128.load(weight + k);
      const x = v128.load(g + k);
      const y = v128.load(h + k);
      const wx = f64x2.mul(w, x);
      const wy = f64x2.mul(w, y);
      gSum = f64x2.add(gSum, wx);
      hSum = f64x2.add(hSum, wy);
      gg = f64x2.add(gg, f64x2.mul(wx, x));
      hg = f64x2.add(hg, f64x2.mul(wy, x));
      hh = f64x2.add(hh, f64x2.mul(wy, y));
    }
    const gMean = lanes(gSum) * inverse;
    const hMean = lanes(hSum) * inverse;
    set(mean, i, gMean);
    set(mean, i + 1, hMean);
    add(sums, i, counted * gMean);
    add(sums, i + 1, counted * hMean);
    // Rows i and i + 1 of the triangle, of i + 1 and i + 2 entries.
    crossMoments(scratch, g, h, i, to, to + ((<usize>(i + 1)) << 3), inverse, counted);
    add(to, i, counted * max(0.0, lanes(gg) * inverse - gMean * gMean));
    to += (<usize>(i + 1)) << 3;
    add(to, i, counted * (lanes(hg) * inverse - hMean * gMean));
    add(to, i + 1, counted * max(0.0, lanes(hh) * inverse - hMean * hMean));
    to += (<usize>(i + 2)) << 3;
  }
  if (i == m) return;
  const g = safety + (<usize>i) * plane;
  let gSum = f64x2.splat(0.0);
  let gg = gSum;
  for (let k: usize = 0; k < size; k += 16) {
    const x = v128.load(g + k);
    const wx = f64x2.mul(v128.load(weight + k), x);
    gSum = f64x2.add(gSum, wx);
    gg = f64x2.add(gg, f64x2.mul(wx, x));
  }
  const gMean = lanes(gSum) * inverse;
  set(mean, i, gMean);
  add(sums, i, counted * gMean);
  crossMoments(scratch, g, g, i, to, to, inverse, counted);
  add(to, i, counted * max(0.0, lanes(gg) * inverse - gMean * gMean));
}

/**
 * Adds the covariances of the scores at `g` and `h`, whose means are i and i + 1, with all before them, to `gTo` and `hTo`;
 * of those at `g` alone where both are the same.
 */
function crossMoments(
  scratch: Scratch,
  g: usize,
  h: usize,
  i: i32,
  gTo: usize,
  hTo: usize,
  inverse: f64,
  counted: f64,
): void {
  const size = (<usize>kept) << 3;
  const weight = scratch.weight;
  const mean = scratch.mean;
  for (let j = 0; j < i; j += 2) {
    const a = safety + (<usize>j) * plane;
    const b = a + plane;
    const zero = f64x2.splat(0.0);
    let ga = zero;
    let gb = zero;
    let ha = zero;
    let hb = zero;
    for (let k: usize = 0; k < size; k += 16) {
      const w = v128.load(weight + k);
      const x = v128.load(a + k);
      const y = v128.load(b + k);
      const wg = f64x2.mul(w, v128.load(g + k));
      const wh = f64x2.mul(w, v128.load(h + k));
      ga = f64x2.add(ga, f64x2.mul(wg, x));
      gb = f64x2.add(gb, f64x2.mul(wg, y));
      ha = f64x2.add(ha, f64x2.mul(wh, x));
      hb = f64x2.add(hb, f64x2.mul(wh, y));
    }
    const aMean = get(mean, j);
    const bMean = get(mean, j + 1);
    add(gTo, j, counted * (lanes(ga) * inverse - get(mean, i) * aMean));
    add(gTo, j + 1, counted * (lanes(gb) * inverse - get(mean, i) * bMean));
    if (g == h) continue;
    add(hTo, j, counted * (lanes(ha) * inverse - get(mean, i + 1) * aMean));
    add(hTo, j + 1, counted * (lanes(hb) * inverse - get(mean, i + 1) * bMean));
  }
}

// @ts-ignore: decorator
@inline function add(pointer: usize, index: i32, value: f64): void {
  set(pointer, index, get(pointer, index) + value);
}

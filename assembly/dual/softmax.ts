/**
 * The softmax of one row at λ. Responses more than CUTOFF·β below the row's maximum weigh less than 5e-18 and are left
 * out; where many are, those that remain are gathered, so that all later work is on them alone.
 */
import { POWER_SCALE, powerConstant, powerRest, powerTable } from '../math';
import { allocate } from '../memory';
import { get, set } from './box';
import { Scores } from './scores';

export const CUTOFF: f64 = 40.0;

/** Rows this short are taken as a whole: a selection costs more than it saves, sooner where one sweep does all. */
const SHORT_FOR_ONE: i32 = 32;
const SHORT: i32 = 16;

/** Buffers of one evaluating thread. */
@unmanaged
export class Scratch {
  /** f64[longest + 16]: r + λᵀg + β·log weight. */
  score: usize;
  /** f64[longest + 1]: scores of gathered elements. */
  exponent: usize;
  /** f64[longest + 1]: exp((score - max) / β) of the elements kept. */
  weight: usize;
  /** u32[longest + 1]: the elements that remain. */
  index: usize;
  /** f64[constraints][longest + 1]: their safety scores. */
  gathered: usize;
  /** Bytes from one constraint's gathered scores to the next one's; also the size of `weight`. */
  plane: usize;
  /** f64[longest + 1]. */
  product: usize;
  /** f64[constraints]. */
  mean: usize;
  /** f64[BLOCK]: total weight of each row of a block. */
  total: usize;
}

export function createScratch(scores: Scores, block: i32): usize {
  const scratch = changetype<Scratch>(allocate(offsetof<Scratch>()));
  if (changetype<usize>(scratch) == 0) return 0;
  const row = (<usize>scores.longest + 2) << 3;
  scratch.plane = row;
  scratch.score = allocate(row + 128);
  scratch.exponent = allocate(row);
  scratch.weight = allocate(row);
  scratch.index = allocate(((<usize>scores.longest) + 1) << 2);
  scratch.gathered = allocate(row * scores.constraints);
  scratch.product = allocate(row);
  scratch.mean = allocate((<usize>scores.constraints) << 3);
  scratch.total = allocate((<usize>block) << 3);
  if (scratch.gathered == 0 || scratch.product == 0 || scratch.total == 0) return 0;
  return changetype<usize>(scratch);
}

/** max_k score of the last row. */
export let top: f64 = 0.0;
/** Σ_k weight of the last row. */
export let total: f64 = 0.0;
/** Elements kept of the last row, rounded up to an even number. */
export let kept: i32 = 0;
/** Whether the last of them is a pad without weight. */
export let odd: bool = false;
/** Whether they are those that `scratch.index` names, to be gathered, or the whole row. */
export let compact: bool = false;
/** f64 safety scores that belong to the elements kept, and the bytes from one constraint's to the next one's. */
export let safety: usize = 0;
export let plane: usize = 0;

/** score[k] = r[k] + Σ_j λ_j g_j[k] + β·log weight[k] over `size` bytes of a row; returns max_k. */
export function combine(scores: Scores, lambda: usize, beta: f64, first: usize, size: usize, score: usize): f64 {
  const m = scores.constraints;
  let from = scores.reward + first;
  let most = -Infinity;
  for (let j = 0; j < m; j += 2) {
    const g = scores.safety + (<usize>j) * scores.plane + first;
    const factors = lambda + ((<usize>j) << 3);
    most =
      j + 1 < m
        ? addTwo(from, g, g + scores.plane, factors, size, score)
        : addOne(from, g, load<f64>(factors), size, score);
    from = score;
  }
  return scores.logWeight == 0 ? most : addOne(score, scores.logWeight + first, beta, size, score);
}

// Several maxima at once: one would make every element wait for the one before.

function addOne(from: usize, g: usize, factor: f64, size: usize, to: usize): f64 {
  const l = f64x2.splat(factor);
  let m0 = f64x2.splat(-Infinity);
  let m1 = m0;
  let m2 = m0;
  let m3 = m0;
  let i: usize = 0;
  for (; i + 64 <= size; i += 64) {
    const s0 = f64x2.add(v128.load(from + i), f64x2.mul(l, v128.load(g + i)));
    const s1 = f64x2.add(v128.load(from + i, 16), f64x2.mul(l, v128.load(g + i, 16)));
    const s2 = f64x2.add(v128.load(from + i, 32), f64x2.mul(l, v128.load(g + i, 32)));
    const s3 = f64x2.add(v128.load(from + i, 48), f64x2.mul(l, v128.load(g + i, 48)));
    v128.store(to + i, s0);
    v128.store(to + i, s1, 16);
    v128.store(to + i, s2, 32);
    v128.store(to + i, s3, 48);
    m0 = f64x2.pmax(m0, s0);
    m1 = f64x2.pmax(m1, s1);
    m2 = f64x2.pmax(m2, s2);
    m3 = f64x2.pmax(m3, s3);
  }
  for (; i < size; i += 16) {
    const s = f64x2.add(v128.load(from + i), f64x2.mul(l, v128.load(g + i)));
    v128.store(to + i, s);
    m0 = f64x2.pmax(m0, s);
  }
  return largest(m0, m1, m2, m3);
}

function addTwo(from: usize, g: usize, h: usize, factors: usize, size: usize, to: usize): f64 {
  const l = v128.load64_splat(factors);
  const k = v128.load64_splat(factors, 8);
  let m0 = f64x2.splat(-Infinity);
  let m1 = m0;
  let i: usize = 0;
  for (; i + 32 <= size; i += 32) {
    const s0 = f64x2.add(
      f64x2.add(v128.load(from + i), f64x2.mul(l, v128.load(g + i))),
      f64x2.mul(k, v128.load(h + i)),
    );
    const s1 = f64x2.add(
      f64x2.add(v128.load(from + i, 16), f64x2.mul(l, v128.load(g + i, 16))),
      f64x2.mul(k, v128.load(h + i, 16)),
    );
    v128.store(to + i, s0);
    v128.store(to + i, s1, 16);
    m0 = f64x2.pmax(m0, s0);
    m1 = f64x2.pmax(m1, s1);
  }
  for (; i < size; i += 16) {
    const s = f64x2.add(
      f64x2.add(v128.load(from + i), f64x2.mul(l, v128.load(g + i))),
      f64x2.mul(k, v128.load(h + i)),
    );
    v128.store(to + i, s);
    m0 = f64x2.pmax(m0, s);
  }
  return largest(m0, m1, m0, m1);
}

// @ts-ignore: decorator
@inline function largest(a: v128, b: v128, c: v128, d: v128): f64 {
  const most = f64x2.pmax(f64x2.pmax(a, b), f64x2.pmax(c, d));
  const x = f64x2.extract_lane(most, 0);
  const y = f64x2.extract_lane(most, 1);
  return y > x ? y : x;
}

/** Sixteen comparisons as sixteen bits. */
// @ts-ignore: decorator
@inline function atLeast(score: usize, least: v128): i32 {
  const a = v128.shuffle<i32>(f64x2.ge(v128.load(score), least), f64x2.ge(v128.load(score, 16), least), 0, 2, 4, 6);
  const b = v128.shuffle<i32>(f64x2.ge(v128.load(score, 32), least), f64x2.ge(v128.load(score, 48), least), 0, 2, 4, 6);
  const c = v128.shuffle<i32>(f64x2.ge(v128.load(score, 64), least), f64x2.ge(v128.load(score, 80), least), 0, 2, 4, 6);
  const d = v128.shuffle<i32>(f64x2.ge(v128.load(score, 96), least), f64x2.ge(v128.load(score, 112), least), 0, 2, 4, 6);
  return i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
}

/**
 * Writes the positions of the scores that are at least `least`; their number. Reads up to 128 bytes beyond the row, which
 * the scores' buffer has.
 */
export function select(score: usize, elements: i32, least: f64, index: usize): i32 {
  const bound = f64x2.splat(least);
  let out = index;
  for (let i = 0; i < elements; i += 64) {
    const p = score + ((<usize>i) << 3);
    const left = elements - i;
    let mask = <u64>atLeast(p, bound);
    if (left > 16) mask |= <u64>atLeast(p + 128, bound) << 16;
    if (left > 32) mask |= <u64>atLeast(p + 256, bound) << 32;
    if (left > 48) mask |= <u64>atLeast(p + 384, bound) << 48;
    if (left < 64) mask &= ((<u64>1) << left) - 1;
    for (; mask != 0; mask &= mask - 1) {
      store<i32>(out, i + <i32>ctz(mask));
      out += 4;
    }
  }
  return <i32>((out - index) >> 2);
}

/** Whether half of a row's first scores are at least `least`: the row is taken as a whole, without a selection. */
function startsDense(score: usize, elements: i32, least: f64): bool {
  if (elements < 32) return false;
  const bound = f64x2.splat(least);
  return popcnt(atLeast(score, bound) | (atLeast(score + 128, bound) << 16)) >= 16;
}

/**
 * Finds the scores of the row whose elements start at byte `first`, their maximum, and what to keep: sets top, kept, odd,
 * compact, safety and plane.
 */
export function reduce(scores: Scores, scratch: Scratch, lambda: usize, beta: f64, first: usize, count: i32): void {
  const padded = (count + 1) & ~1;
  const score = scratch.score;
  top = combine(scores, lambda, beta, first, (<usize>padded) << 3, score);
  const least = top - CUTOFF * beta;
  safety = scores.safety + first;
  plane = scores.plane;
  kept = padded;
  odd = (count & 1) != 0;
  compact = false;
  if (padded <= (scores.constraints == 1 ? SHORT_FOR_ONE : SHORT) || startsDense(score, padded, least)) return;
  const survivors = select(score, padded, least, scratch.index);
  if (survivors * 4 > padded * 3) return;
  compact = true;
  kept = (survivors + 1) & ~1;
  odd = (survivors & 1) != 0;
}

/** After `reduce`: exp into weight, and their total; what a compact row keeps is gathered, in exponent and at `safety`. */
export function exponentiate(scores: Scores, scratch: Scratch, beta: f64): void {
  if (compact) {
    gather(scores, scratch);
    weigh(scratch.exponent, scratch.weight, kept, top, POWER_SCALE / beta);
  } else {
    weigh(scratch.score, scratch.weight, kept, top, POWER_SCALE / beta);
  }
  if (odd) set(scratch.weight, kept - 1, 0.0);
}

function gather(scores: Scores, scratch: Scratch): void {
  const index = scratch.index;
  const survivors = odd ? kept - 1 : kept;
  for (let i = 0; i < survivors; i++) {
    set(scratch.exponent, i, get(scratch.score, load<i32>(index + ((<usize>i) << 2))));
  }
  if (odd) {
    set(scratch.exponent, survivors, -Infinity);
    store<i32>(index + ((<usize>survivors) << 2), load<i32>(index));
  }
  for (let j = 0; j < scores.constraints; j++) {
    const from = safety + (<usize>j) * plane;
    const to = scratch.gathered + (<usize>j) * scratch.plane;
    for (let i = 0; i < survivors; i++) set(to, i, get(from, load<i32>(index + ((<usize>i) << 2))));
    if (odd) set(to, survivors, 0.0);
  }
  safety = scratch.gathered;
  plane = scratch.plane;
}

/**
 * The first step of the powers 2^((value - shift)·scale/256) of `size` bytes of numbers: `values` and `to` become what
 * `powerRest` wants, its f and its table. A power below 2^-512 becomes that, which no sum feels.
 */
export function beginPowers(values: usize, to: usize, size: usize, shift: f64, scale: f64): void {
  const s = f64x2.splat(shift);
  const c = f64x2.splat(scale);
  const least = powerConstant(5);
  const c0 = powerConstant(0);
  let i: usize = 0;
  for (; i + 32 <= size; i += 32) {
    const y0 = f64x2.pmax(f64x2.mul(f64x2.sub(v128.load(values + i), s), c), least);
    const y1 = f64x2.pmax(f64x2.mul(f64x2.sub(v128.load(values + i, 16), s), c), least);
    const n0 = f64x2.add(y0, c0);
    const n1 = f64x2.add(y1, c0);
    v128.store(to + i, powerTable(n0));
    v128.store(to + i, powerTable(n1), 16);
    v128.store(values + i, f64x2.sub(y0, f64x2.sub(n0, c0)));
    v128.store(values + i, f64x2.sub(y1, f64x2.sub(n1, c0)), 16);
  }
  if (i < size) {
    const y = f64x2.pmax(f64x2.mul(f64x2.sub(v128.load(values + i), s), c), least);
    const n = f64x2.add(y, c0);
    v128.store(to + i, powerTable(n));
    v128.store(values + i, f64x2.sub(y, f64x2.sub(n, c0)));
  }
}

function weigh(values: usize, to: usize, count: i32, shift: f64, scale: f64): void {
  const size = (<usize>count) << 3;
  beginPowers(values, to, size, shift, scale);
  const c1 = powerConstant(1);
  const c2 = powerConstant(2);
  const c3 = powerConstant(3);
  const c4 = powerConstant(4);
  let sum0 = f64x2.splat(0.0);
  let sum1 = sum0;
  let i: usize = 0;
  for (; i + 32 <= size; i += 32) {
    const e0 = powerRest(v128.load(to + i), v128.load(values + i), c1, c2, c3, c4);
    const e1 = powerRest(v128.load(to + i, 16), v128.load(values + i, 16), c1, c2, c3, c4);
    v128.store(to + i, e0);
    v128.store(to + i, e1, 16);
    sum0 = f64x2.add(sum0, e0);
    sum1 = f64x2.add(sum1, e1);
  }
  if (i < size) {
    const e = powerRest(v128.load(to + i), v128.load(values + i), c1, c2, c3, c4);
    v128.store(to + i, e);
    sum0 = f64x2.add(sum0, e);
  }
  total = lanes(f64x2.add(sum0, sum1));
}

// @ts-ignore: decorator
@inline export function lanes(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}

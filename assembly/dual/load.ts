/** Takes raw scores in, block by block: centres the rows and gathers what one pass can tell. */
import { logAll } from '../math';
import { sumBlocks } from './blocks';
import { get, set } from './box';
import {
  BLOCK,
  BOTTOM,
  LOG_COUNT,
  MIDDLE,
  MOST_KL,
  RANGE,
  REACHABLE,
  REWARD,
  SAFETY,
  SAFETY_RANGE,
  SAFETY_STATISTICS,
  Scores,
  STATISTICS,
  TOP,
} from './scores';

/** Larger scores could overflow when squared and summed. */
const LARGEST: f64 = 1e100;
/** Weights beyond these could leave the range of normal numbers when divided by their mean. */
const LARGEST_WEIGHT: f64 = 1e150;
const LEAST_WEIGHT: f64 = 1e-150;

let low: f64 = 0.0;
let high: f64 = 0.0;
let sum: f64 = 0.0;

/**
 * Loads rows `firstRow` to `endRow` (not included), whose responses stand one after another at `reward`, at
 * `safety` + j·`plane` bytes for score j, and at `weight` for a weighted table; in single precision where so told. Means
 * over a row's responses are weighted. Returns the first row with a score that is not a number of at most LARGEST in
 * size, or a weight out of bounds, or -1.
 */
export function loadRows(
  scores: Scores,
  firstRow: i32,
  endRow: i32,
  reward: usize,
  safety: usize,
  weight: usize,
  plane: usize,
  singleReward: bool,
  singleSafety: bool,
  singleWeight: bool,
): i32 {
  const m = scores.constraints;
  const width = STATISTICS + SAFETY_STATISTICS * m;
  for (let row = firstRow; row < endRow; row++) {
    const sums = scores.partial + ((<usize>((row / BLOCK) * width)) << 3);
    const first = (<usize>load<u32>(scores.start + ((<usize>row) << 2))) << 3;
    const count = load<i32>(scores.count + ((<usize>row) << 2));
    const logWeight: usize = scores.logWeight == 0 ? 0 : scores.logWeight + first;
    if (logWeight != 0) {
      weight += copyRow(weight, singleWeight, logWeight, count);
      if (!(low >= LEAST_WEIGHT && high <= LARGEST_WEIGHT && isFinite(sum))) return row;
      divide(logWeight, count, sum / <f64>count);
    }
    reward += copyRow(reward, singleReward, scores.reward + first, count);
    if (!isFinite(sum) || low < -LARGEST || high > LARGEST) return row;
    if (logWeight != 0) sum = dot(logWeight, scores.reward + first, count);
    shift(scores.reward + first, count, high, -Infinity);
    set(scores.top, row, high);
    set(scores.range, row, high - low);
    add(sums, TOP, high);
    add(sums, BOTTOM, low);
    add(sums, REWARD, sum / <f64>count);
    add(sums, LOG_COUNT, get(scores.logCount, row));
    raise(sums, RANGE, high - low);
    let size: usize = 0;
    for (let j = 0; j < m; j++) {
      const to = scores.safety + (<usize>j) * scores.plane + first;
      size = copyRow(safety + (<usize>j) * plane, singleSafety, to, count);
      if (!isFinite(sum) || low < -LARGEST || high > LARGEST) return row;
      if (logWeight != 0) sum = dot(logWeight, to, count);
      const middle = low + (high - low) * 0.5;
      shift(to, count, middle, 0.0);
      const base = STATISTICS + SAFETY_STATISTICS * j;
      set(scores.middle, j * scores.prompts + row, middle);
      set(scores.mean, j * scores.prompts + row, sum / <f64>count);
      add(sums, base + MIDDLE, middle);
      add(sums, base + REACHABLE, high);
      add(sums, base + SAFETY, sum / <f64>count);
      raise(sums, base + SAFETY_RANGE, high - low);
    }
    add(sums, MOST_KL, get(scores.logCount, row) - (logWeight == 0 ? 0.0 : takeLogs(logWeight, count)));
    safety += size;
  }
  return -1;
}

/** Copies a row to where it belongs, leaves its range and sum in `low`, `high` and `sum`; returns the bytes read. */
function copyRow(from: usize, single: bool, to: usize, count: i32): usize {
  const size = (<usize>count) << 3;
  if (single) promote(from, to, count);
  else memory.copy(to, from, size);
  // Two of each at once: one would make every element wait for the one before.
  let least0 = f64x2.splat(Infinity);
  let least1 = least0;
  let most0 = f64x2.splat(-Infinity);
  let most1 = most0;
  let total0 = f64x2.splat(0.0);
  let total1 = total0;
  let i: usize = 0;
  for (; i + 32 <= size; i += 32) {
    const x0 = v128.load(to + i);
    const x1 = v128.load(to + i, 16);
    least0 = f64x2.pmin(least0, x0);
    least1 = f64x2.pmin(least1, x1);
    most0 = f64x2.pmax(most0, x0);
    most1 = f64x2.pmax(most1, x1);
    total0 = f64x2.add(total0, x0);
    total1 = f64x2.add(total1, x1);
  }
  for (; i < size; i += 8) {
    const last = v128.load64_splat(to + i);
    least0 = f64x2.pmin(least0, last);
    most0 = f64x2.pmax(most0, last);
    total0 = f64x2.add(total0, v128.load64_zero(to + i));
  }
  const least = f64x2.pmin(least0, least1);
  const most = f64x2.pmax(most0, most1);
  const total = f64x2.add(total0, total1);
  low = lesser(f64x2.extract_lane(least, 0), f64x2.extract_lane(least, 1));
  high = greater(f64x2.extract_lane(most, 0), f64x2.extract_lane(most, 1));
  sum = f64x2.extract_lane(total, 0) + f64x2.extract_lane(total, 1);
  return single ? size >> 1 : size;
}

/** Divides a row, pad included, which becomes 1. */
function divide(pointer: usize, count: i32, by: f64): void {
  for (let i = 0; i < count; i++) set(pointer, i, get(pointer, i) / by);
  if (count & 1) set(pointer, count, 1.0);
}

/** Σ weight·value, in the order in which `copyRow` adds up values. */
function dot(weight: usize, value: usize, count: i32): f64 {
  const size = (<usize>count) << 3;
  let total0 = f64x2.splat(0.0);
  let total1 = total0;
  let i: usize = 0;
  for (; i + 32 <= size; i += 32) {
    total0 = f64x2.add(total0, f64x2.mul(v128.load(weight + i), v128.load(value + i)));
    total1 = f64x2.add(total1, f64x2.mul(v128.load(weight + i, 16), v128.load(value + i, 16)));
  }
  for (; i < size; i += 8) {
    total0 = f64x2.add(total0, f64x2.mul(v128.load64_zero(weight + i), v128.load64_zero(value + i)));
  }
  const total = f64x2.add(total0, total1);
  return f64x2.extract_lane(total, 0) + f64x2.extract_lane(total, 1);
}

/** Replaces a row, pad included, by its logarithms; returns the least. */
function takeLogs(pointer: usize, count: i32): f64 {
  logAll(pointer, (count + 1) & ~1);
  let least = 0.0;
  for (let i = 0; i < count; i++) least = lesser(least, get(pointer, i));
  return least;
}

function promote(from: usize, to: usize, count: i32): void {
  let i = 0;
  for (; i + 2 <= count; i += 2, from += 8, to += 16) {
    v128.store(to, f64x2.promote_low_f32x4(v128.load64_zero(from)));
  }
  if (i < count) store<f64>(to, <f64>load<f32>(from));
}

function shift(pointer: usize, count: i32, by: f64, pad: f64): void {
  const shift = f64x2.splat(by);
  const end = pointer + ((<usize>((count + 1) & ~1)) << 3);
  for (let p = pointer; p < end; p += 16) v128.store(p, f64x2.sub(v128.load(p), shift));
  if (count & 1) store<f64>(end - 8, pad);
}

/** The means over rows, and the largest ranges, once all rows are loaded. */
export function finishLoad(scores: Scores): void {
  const width = STATISTICS + SAFETY_STATISTICS * scores.constraints;
  const blocks = (scores.prompts + BLOCK - 1) / BLOCK;
  for (let block = 0; block < blocks; block++) {
    const sums = scores.partial + ((<usize>(block * width)) << 3);
    for (let i = 0; i < width; i++) if (isLargest(i)) raise(scores.statistics, i, get(sums, i));
  }
  sumBlocks(scores.partial, blocks, width);
  for (let i = 0; i < width; i++) {
    if (!isLargest(i)) set(scores.statistics, i, get(scores.partial, i) / <f64>scores.prompts);
  }
}

/** Whether a statistic is the largest over rows, not a mean. */
function isLargest(statistic: i32): bool {
  return statistic == RANGE || (statistic >= STATISTICS && (statistic - STATISTICS) % SAFETY_STATISTICS == SAFETY_RANGE);
}

// @ts-ignore: decorator
@inline function add(pointer: usize, index: i32, value: f64): void {
  set(pointer, index, get(pointer, index) + value);
}

// @ts-ignore: decorator
@inline function raise(pointer: usize, index: i32, value: f64): void {
  if (value > get(pointer, index)) set(pointer, index, value);
}

// @ts-ignore: decorator
@inline function lesser(a: f64, b: f64): f64 {
  return b < a ? b : a;
}

// @ts-ignore: decorator
@inline function greater(a: f64, b: f64): f64 {
  return b > a ? b : a;
}

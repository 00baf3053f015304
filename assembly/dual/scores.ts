/** The score table in linear memory, and what one pass over it tells: means, ranges, the largest reachable thresholds. */
import { allocate } from '../memory';
import { sumBlocks } from './blocks';

/**
 * Rows (prompts) start on even elements, so that two lanes never straddle rows; a row with an odd number of responses
 * ends with one pad, whose reward is -Infinity and whose safety is 0. `prepare` centres every row: rewards by the
 * row's maximum, safety scores by the middle of the row's range. The dual only shifts by a known constant, constant
 * scores become exactly 0, and no digits are lost to a common offset.
 */
@unmanaged
export class Scores {
  prompts: i32;
  constraints: i32;
  /** Elements of the longest row, pad included. */
  longest: i32;
  /** u32[prompts + 1]: first element of each row. */
  start: usize;
  /** u32[prompts]: responses in each row. */
  count: usize;
  /** f64[prompts]: log of each row's total reference weight (its number of responses). */
  logCount: usize;
  /** f64[prompts] and f64[constraints][prompts]: what `prepare` took off each row. */
  top: usize;
  middle: usize;
  /** f64[prompts]: range of each row's rewards. */
  range: usize;
  /** f64[elements]. */
  reward: usize;
  /** f64[constraints][elements]. */
  safety: usize;
  /** Bytes from one constraint's scores to the next one's. */
  plane: usize;
  /** f64[STATISTICS + SAFETY_STATISTICS·constraints], filled by `prepare`. */
  statistics: usize;
  /** f64[blocks][the same]: sums over each block of rows. */
  partial: usize;
}

export const BLOCK: i32 = 256;

// Means over rows, except RANGE, the largest over rows.
const TOP = 0; // max_k r
const BOTTOM = 1; // min_k r
const REWARD = 2; // mean_k r
const LOG_COUNT = 3;
const RANGE = 4;
export const STATISTICS: i32 = 5;
// The same for each safety score, after the five above.
const MIDDLE = 0; // what `prepare` takes off the row
const REACHABLE = 1; // max_k g
const SAFETY = 2; // mean_k g
const SAFETY_RANGE = 3;
export const SAFETY_STATISTICS: i32 = 4;

/** An empty table; the caller fills start, count, logCount, reward and safety. 0 if memory is exhausted. */
export function createScores(prompts: i32, constraints: i32, elements: i32, longest: i32): usize {
  const scores = changetype<Scores>(allocate(offsetof<Scores>()));
  if (changetype<usize>(scores) == 0) return 0;
  const blocks = (prompts + BLOCK - 1) / BLOCK;
  const width = STATISTICS + SAFETY_STATISTICS * constraints;
  scores.prompts = prompts;
  scores.constraints = constraints;
  scores.longest = longest;
  scores.plane = (<usize>elements) << 3;
  scores.start = allocate((<usize>prompts + 1) << 2);
  scores.count = allocate((<usize>prompts) << 2);
  scores.logCount = allocate((<usize>prompts) << 3);
  scores.top = allocate((<usize>prompts) << 3);
  scores.range = allocate((<usize>prompts) << 3);
  scores.middle = allocate((<usize>prompts * constraints) << 3);
  scores.statistics = allocate((<usize>width) << 3);
  scores.partial = allocate((<usize>(width * blocks)) << 3);
  scores.reward = allocate(scores.plane);
  scores.safety = allocate(scores.plane * constraints);
  if (
    scores.start == 0 ||
    scores.count == 0 ||
    scores.logCount == 0 ||
    scores.top == 0 ||
    scores.middle == 0 ||
    scores.range == 0 ||
    scores.statistics == 0 ||
    scores.partial == 0 ||
    scores.reward == 0 ||
    scores.safety == 0
  ) {
    return 0;
  }
  return changetype<usize>(scores);
}

export function startOf(scores: Scores): usize {
  return scores.start;
}
export function countOf(scores: Scores): usize {
  return scores.count;
}
export function logCountOf(scores: Scores): usize {
  return scores.logCount;
}
export function rewardOf(scores: Scores): usize {
  return scores.reward;
}
export function rewardRangeOf(scores: Scores): usize {
  return scores.range;
}
export function safetyOf(scores: Scores): usize {
  return scores.safety;
}

let low: f64 = 0.0;
let high: f64 = 0.0;

/** Subtracts the row's maximum (or its middle) from `count` numbers, leaves its range in `low`, `high`; the mean. */
function centre(pointer: usize, count: i32, byTop: bool): f64 {
  let least = load<f64>(pointer);
  let most = least;
  let sum = 0.0;
  const end = pointer + ((<usize>count) << 3);
  for (let p = pointer; p < end; p += 8) {
    const value = load<f64>(p);
    if (value < least) least = value;
    if (value > most) most = value;
    sum += value;
  }
  const shift = byTop ? most : least + (most - least) * 0.5;
  for (let p = pointer; p < end; p += 8) store<f64>(p, load<f64>(p) - shift);
  low = least;
  high = most;
  return sum / <f64>count;
}

/** Centres every row, gathers the statistics and returns where they are. */
export function prepare(scores: Scores): usize {
  const constraints = scores.constraints;
  const width = STATISTICS + SAFETY_STATISTICS * constraints;
  const blocks = (scores.prompts + BLOCK - 1) / BLOCK;
  memory.fill(scores.partial, 0, (<usize>(blocks * width)) << 3);
  memory.fill(scores.statistics, 0, (<usize>width) << 3);
  for (let row = 0; row < scores.prompts; row++) {
    const sums = scores.partial + ((<usize>((row / BLOCK) * width)) << 3);
    const first = (<usize>load<u32>(scores.start + ((<usize>row) << 2))) << 3;
    const count = load<i32>(scores.count + ((<usize>row) << 2));
    const mean = centre(scores.reward + first, count, true);
    store<f64>(at(scores.top, row), high);
    add(sums, TOP, high);
    add(sums, BOTTOM, low);
    add(sums, REWARD, mean);
    add(sums, LOG_COUNT, load<f64>(scores.logCount + ((<usize>row) << 3)));
    store<f64>(at(scores.range, row), high - low);
    raise(scores.statistics, RANGE, high - low);
    if (count & 1) store<f64>(scores.reward + first + ((<usize>count) << 3), -Infinity);
    for (let j = 0; j < constraints; j++) {
      const base = STATISTICS + SAFETY_STATISTICS * j;
      const safety = scores.safety + (<usize>j) * scores.plane + first;
      const meanSafety = centre(safety, count, false);
      const middle = low + (high - low) * 0.5;
      store<f64>(at(scores.middle, j * scores.prompts + row), middle);
      add(sums, base + MIDDLE, middle);
      add(sums, base + REACHABLE, high);
      add(sums, base + SAFETY, meanSafety);
      raise(scores.statistics, base + SAFETY_RANGE, high - low);
      if (count & 1) store<f64>(safety + ((<usize>count) << 3), 0.0);
    }
  }
  sumBlocks(scores.partial, blocks, width);
  for (let i = 0; i < width; i++) {
    const largest = i == RANGE || (i >= STATISTICS && (i - STATISTICS) % SAFETY_STATISTICS == SAFETY_RANGE);
    if (largest) continue;
    store<f64>(at(scores.statistics, i), load<f64>(at(scores.partial, i)) / <f64>scores.prompts);
  }
  return scores.statistics;
}

// @ts-ignore: decorator
@inline function at(pointer: usize, index: i32): usize {
  return pointer + ((<usize>index) << 3);
}

// @ts-ignore: decorator
@inline function add(pointer: usize, index: i32, value: f64): void {
  store<f64>(at(pointer, index), load<f64>(at(pointer, index)) + value);
}

// @ts-ignore: decorator
@inline function raise(pointer: usize, index: i32, value: f64): void {
  if (value > load<f64>(at(pointer, index))) store<f64>(at(pointer, index), value);
}

/** The score table in linear memory. */
import { allocate } from '../memory';

/** Rows whose sums are added up one after another; blocks are added up by a tree. */
export const BLOCK: i32 = 256;

/**
 * Rows (prompts) start on even elements, so that two lanes never straddle rows; a row with an odd number of responses
 * ends with one pad, whose reward is -Infinity and whose safety is 0. Rows are stored centred: rewards by the row's
 * maximum, safety scores by the middle of the row's range. The dual only shifts by a known constant, constant scores
 * become exactly 0, and no digits are lost to a common offset.
 */
@unmanaged
export class Scores {
  prompts: i32;
  constraints: i32;
  /** Elements of the longest row, pad included. */
  longest: i32;
  /** u32[prompts]: first element of each row. */
  start: usize;
  /** u32[prompts]: responses in each row. */
  count: usize;
  /** f64[prompts]: log of each row's number of responses, those that `prune` dropped included. */
  logCount: usize;
  /** f64[prompts] and f64[constraints][prompts]: what centring took off each row. */
  top: usize;
  middle: usize;
  /** f64[constraints][prompts]: mean of each row. */
  mean: usize;
  /** f64[prompts]: range of each row's rewards. */
  range: usize;
  /** f64[elements]. */
  reward: usize;
  /** f64[constraints][elements]. */
  safety: usize;
  /**
   * f64[elements]: log of each response's importance weight, which is 1 on the row's average; 0 in a table without
   * weights. A pad has the logarithm 0.
   */
  logWeight: usize;
  /** Bytes from one constraint's scores to the next one's. */
  plane: usize;
  /** f64[STATISTICS + SAFETY_STATISTICS·constraints]. */
  statistics: usize;
  /** f64[blocks][the same]: sums over each block of rows. */
  partial: usize;
}

// Means over rows, except RANGE, the largest over rows.
export const TOP: i32 = 0; // max_k r
export const BOTTOM: i32 = 1; // min_k r
export const REWARD: i32 = 2; // mean_k r
export const LOG_COUNT: i32 = 3;
export const RANGE: i32 = 4;
export const MOST_KL: i32 = 5; // KL from the reference of the policy on the response of least weight: log K without weights
export const STATISTICS: i32 = 6;
// The same for each safety score, after the six above.
export const MIDDLE: i32 = 0; // what centring takes off the row
export const REACHABLE: i32 = 1; // max_k g
export const SAFETY: i32 = 2; // mean_k g
export const SAFETY_RANGE: i32 = 3;
export const SAFETY_STATISTICS: i32 = 4;

/** An empty table; the caller fills start, count and logCount, `loadRows` the rest. 0 if memory is exhausted. */
export function createScores(prompts: i32, constraints: i32, elements: i32, longest: i32, weighted: bool): usize {
  const scores = createRows(prompts, constraints, longest);
  if (changetype<usize>(scores) == 0) return 0;
  const blocks = (prompts + BLOCK - 1) / BLOCK;
  const width = (<usize>(STATISTICS + SAFETY_STATISTICS * constraints)) << 3;
  scores.statistics = allocate(width);
  scores.partial = allocate(width * blocks);
  if (scores.statistics == 0 || scores.partial == 0 || !createElements(scores, elements, weighted)) return 0;
  memory.fill(scores.statistics, 0, width);
  memory.fill(scores.partial, 0, width * blocks);
  return changetype<usize>(scores);
}

/** A table without statistics and without room for elements; null if memory is exhausted. */
export function createRows(prompts: i32, constraints: i32, longest: i32): Scores {
  const scores = changetype<Scores>(allocate(offsetof<Scores>()));
  if (changetype<usize>(scores) == 0) return scores;
  const rows = (<usize>prompts) << 3;
  scores.prompts = prompts;
  scores.constraints = constraints;
  scores.longest = longest;
  scores.start = allocate(rows >> 1);
  scores.count = allocate(rows >> 1);
  scores.logCount = allocate(rows);
  scores.top = allocate(rows);
  scores.range = allocate(rows);
  scores.middle = allocate(rows * constraints);
  scores.mean = allocate(rows * constraints);
  return scores.mean == 0 || scores.range == 0 ? changetype<Scores>(0) : scores;
}

export function createElements(scores: Scores, elements: i32, weighted: bool): bool {
  scores.plane = (<usize>elements) << 3;
  scores.reward = allocate(scores.plane);
  scores.safety = allocate(scores.plane * scores.constraints);
  scores.logWeight = weighted ? allocate(scores.plane) : 0;
  return scores.reward != 0 && scores.safety != 0 && (!weighted || scores.logWeight != 0);
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
export function middleOf(scores: Scores): usize {
  return scores.middle;
}
export function meanOf(scores: Scores): usize {
  return scores.mean;
}
export function topOf(scores: Scores): usize {
  return scores.top;
}
export function rewardRangeOf(scores: Scores): usize {
  return scores.range;
}
/** Sums over rows, once all are loaded. */
export function sumsOf(scores: Scores): usize {
  return scores.partial;
}
export function statisticsOf(scores: Scores): usize {
  return scores.statistics;
}

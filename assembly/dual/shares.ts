/**
 * Work on a table in shares of its blocks of rows, which threads may take in any order: each writes what belongs to its
 * rows and blocks alone. `lane` points to what a thread has of its own, its Scratch.
 */
import { describeRows, descriptionWidth, supportBlocks } from './describe';
import { evaluateBlocks } from './evaluate';
import { loadRows } from './load';
import { pruneRows, Pruning } from './prune';
import { BLOCK, Scores } from './scores';
import { Scratch } from './softmax';

// @ts-ignore: decorator
@inline function scratchOf(lane: usize): Scratch {
  return changetype<Scratch>(<usize>load<u32>(lane));
}

// @ts-ignore: decorator
@inline function endOf(scores: Scores, endBlock: i32): i32 {
  return min(endBlock * BLOCK, scores.prompts);
}

/**
 * Loads blocks (`loadRows`), counted from `origin` on, whose responses stand staged from[block] (u32) responses from
 * `reward`, `safety` and `weight`. Writes a row that is out of bounds to `bad`, if there is one.
 */
export function loadShare(
  scores: Scores,
  origin: i32,
  from: usize,
  reward: usize,
  safety: usize,
  weight: usize,
  plane: usize,
  singleReward: bool,
  singleSafety: bool,
  singleWeight: bool,
  bad: usize,
  _lane: usize,
  firstBlock: i32,
  endBlock: i32,
): void {
  for (let block = firstBlock; block < endBlock; block++) {
    const at = <usize>load<u32>(from + ((<usize>block) << 2));
    const row = loadRows(
      scores,
      (origin + block) * BLOCK,
      endOf(scores, origin + block + 1),
      reward + (at << (singleReward ? 2 : 3)),
      safety + (at << (singleSafety ? 2 : 3)),
      weight + (at << (singleWeight ? 2 : 3)),
      plane,
      singleReward,
      singleSafety,
      singleWeight,
    );
    if (row >= 0) store<i32>(bad, row);
  }
}

/** `evaluateBlocks`. */
export function evaluateShare(
  scores: Scores,
  lambda: usize,
  beta: f64,
  partial: usize,
  out: usize,
  times: usize,
  lane: usize,
  firstBlock: i32,
  endBlock: i32,
): void {
  evaluateBlocks(scores, scratchOf(lane), lambda, beta, firstBlock, endBlock, partial, out, times);
}

/** `describeRows`; `out` is for the table's first row. */
export function describeShare(
  scores: Scores,
  lambda: usize,
  beta: f64,
  out: usize,
  lane: usize,
  firstBlock: i32,
  endBlock: i32,
): void {
  const first = firstBlock * BLOCK;
  const to = out + (<usize>(first * descriptionWidth(scores.constraints)) << 3);
  describeRows(scores, scratchOf(lane), lambda, beta, first, endOf(scores, endBlock), to);
}

/** `supportBlocks`. */
export function supportShare(
  scores: Scores,
  direction: usize,
  partial: usize,
  _lane: usize,
  firstBlock: i32,
  endBlock: i32,
): void {
  supportBlocks(scores, direction, firstBlock, endBlock, partial);
}

/** `pruneRows`. */
export function pruneShare(
  scores: Scores,
  pruning: Pruning,
  centre: usize,
  radius: usize,
  beta: f64,
  lane: usize,
  firstBlock: i32,
  endBlock: i32,
): void {
  pruneRows(scores, scratchOf(lane), pruning, centre, radius, beta, firstBlock * BLOCK, endOf(scores, endBlock));
}

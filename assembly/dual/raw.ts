/**
 * Blocks of rows as they came, in the precision they came in: of a table that is not held, the rows at hand and what was
 * kept of the others. Each is centred anew for each evaluation, in memory that its thread has for one block.
 */
import { log } from '../math';
import { allocate } from '../memory';
import { get, set } from './box';
import { descriptionWidth, supportBlocks } from './describe';
import { evaluateBlocks, evaluationWidth } from './evaluate';
import { loadRows } from './load';
import { near } from './prune';
import { BLOCK, createElements, createRows, SAFETY_STATISTICS, Scores, STATISTICS } from './scores';
import { createScratch, Scratch } from './softmax';

/** Flags: what is in single precision, and that the logarithms belong to other blocks too. */
const SINGLE_REWARD: i32 = 1;
const SINGLE_SAFETY: i32 = 2;
const SINGLE_WEIGHT: i32 = 4;
const COMMON_LOGS: i32 = 8;

/** A block of rows, whose responses stand one after another; src/dual/staging.ts fills it in. */
@unmanaged
export class Raw {
  rows: i32;
  /** Responses of all rows. */
  responses: i32;
  /** The first row with a score or weight out of bounds, once looked at; or -1. */
  bad: i32;
  flags: i32;
  /** u32[rows]: responses of each row. */
  count: usize;
  /** f64[rows]: log of what each row's weights add up to over the mean weight of those here: of K, without weights. */
  logCount: usize;
  reward: usize;
  /** First safety score; the others follow in planes. */
  safety: usize;
  /** 0 without weights. */
  weight: usize;
  /** Bytes from one safety score to the next one. */
  plane: usize;
}

/** What a thread has to work on one block. */
@unmanaged
class Lane {
  scores: Scores;
  scratch: Scratch;
  /** f64[STATISTICS + SAFETY_STATISTICS·constraints]: statistics that nobody asked for. */
  sums: usize;
}

/** Room for a block of up to `elements` responses and pads, the longest row with `longest`; 0 if memory is exhausted. */
export function createLane(constraints: i32, elements: i32, longest: i32, weighted: bool): usize {
  const lane = changetype<Lane>(allocate(offsetof<Lane>()));
  if (changetype<usize>(lane) == 0) return 0;
  const scores = createRows(BLOCK, constraints, longest);
  if (changetype<usize>(scores) == 0 || !createElements(scores, elements, weighted)) return 0;
  const scratch = createScratch(scores, BLOCK);
  lane.scores = scores;
  lane.scratch = changetype<Scratch>(scratch);
  lane.sums = allocate(statisticsSize(constraints));
  return scratch == 0 || lane.sums == 0 ? 0 : changetype<usize>(lane);
}

// @ts-ignore: decorator
@inline function statisticsSize(constraints: i32): usize {
  return (<usize>(STATISTICS + SAFETY_STATISTICS * constraints)) << 3;
}

// @ts-ignore: decorator
@inline function laneAt(lane: usize): Lane {
  return changetype<Lane>(<usize>load<u32>(lane));
}

// @ts-ignore: decorator
@inline function rawAt(raws: usize, block: i32): Raw {
  return changetype<Raw>(<usize>load<u32>(raws + ((<usize>block) << 2)));
}

/** Centres a block in a lane's memory; its statistics go to `sums`. False where a score is out of bounds. */
function open(raw: Raw, scores: Scores, sums: usize): bool {
  memory.fill(sums, 0, statisticsSize(scores.constraints));
  scores.prompts = raw.rows;
  scores.logCount = raw.logCount;
  scores.partial = sums;
  let at = 0;
  for (let row = 0; row < raw.rows; row++) {
    const word = (<usize>row) << 2;
    const count = load<i32>(raw.count + word);
    store<i32>(scores.start + word, at);
    store<i32>(scores.count + word, count);
    at += (count + 1) & ~1;
  }
  raw.bad = loadRows(
    scores,
    0,
    raw.rows,
    raw.reward,
    raw.safety,
    raw.weight,
    raw.plane,
    (raw.flags & SINGLE_REWARD) != 0,
    (raw.flags & SINGLE_SAFETY) != 0,
    (raw.flags & SINGLE_WEIGHT) != 0,
  );
  return raw.bad < 0;
}

/**
 * Takes the statistics of blocks, to f64[blocks][STATISTICS + SAFETY_STATISTICS·constraints], and with `means` other
 * than 0 the means of the rows' safety scores, to f64[blocks][constraints][rows] in steps of whole blocks. With `partial`
 * other than 0 the blocks are evaluated at `centre` along with it (`evaluateBlocks`). With `radius` other than 0 each block then loses the responses that no policy in the box of that radius around `centre` uses
 * (`pruneRows`).
 */
export function takeShare(
  raws: usize,
  sums: usize,
  means: usize,
  partial: usize,
  centre: usize,
  radius: usize,
  beta: f64,
  lane: usize,
  firstBlock: i32,
  endBlock: i32,
): void {
  const scores = laneAt(lane).scores;
  const m = scores.constraints;
  for (let block = firstBlock; block < endBlock; block++) {
    const raw = rawAt(raws, block);
    if (!open(raw, scores, sums + (<usize>block) * statisticsSize(m))) continue;
    if (means != 0) {
      memory.copy(means + ((<usize>(block * BLOCK * m)) << 3), scores.mean, (<usize>(raw.rows * m)) << 3);
    }
    if (partial != 0) {
      const sums = partial + ((<usize>(block * evaluationWidth(m))) << 3);
      evaluateBlocks(scores, laneAt(lane).scratch, centre, beta, 0, 1, sums, 0, 0);
    }
    if (radius != 0) keepNear(raw, scores, laneAt(lane).scratch, centre, radius, beta);
  }
}

/** Moves the responses together that policies in a box use. */
function keepNear(raw: Raw, scores: Scores, scratch: Scratch, centre: usize, radius: usize, beta: f64): void {
  let from = 0;
  let to = 0;
  for (let row = 0; row < raw.rows; row++) {
    const word = (<usize>row) << 2;
    const all = load<i32>(raw.count + word);
    const first = (<usize>load<u32>(scores.start + word)) << 3;
    const count = near(scores, scratch, centre, radius, beta, first, (all + 1) & ~1);
    const singleWeight = (raw.flags & SINGLE_WEIGHT) != 0;
    const whole = raw.weight == 0 ? 0.0 : total(raw.weight, singleWeight, from, all);
    move(raw.reward, (raw.flags & SINGLE_REWARD) != 0, scratch.index, count, from, to);
    for (let j = 0; j < scores.constraints; j++) {
      const plane = raw.safety + (<usize>j) * raw.plane;
      move(plane, (raw.flags & SINGLE_SAFETY) != 0, scratch.index, count, from, to);
    }
    if (raw.weight != 0) {
      move(raw.weight, singleWeight, scratch.index, count, from, to);
      const mean = total(raw.weight, singleWeight, to, count) / <f64>count;
      set(raw.logCount, row, log(whole / mean));
    }
    store<i32>(raw.count + word, count);
    from += all;
    to += count;
  }
  raw.responses = to;
}

/** Moves the elements at `index`, counted from `from` on, to `to` and behind it. */
function move(values: usize, single: bool, index: usize, count: i32, from: i32, to: i32): void {
  if (single) {
    const source = values + ((<usize>from) << 2);
    const target = values + ((<usize>to) << 2);
    for (let i: usize = 0; i < (<usize>count) << 2; i += 4) {
      store<f32>(target + i, load<f32>(source + ((<usize>load<u32>(index + i)) << 2)));
    }
  } else {
    const source = values + ((<usize>from) << 3);
    for (let i = 0; i < count; i++) {
      set(values, to + i, get(source, load<i32>(index + ((<usize>i) << 2))));
    }
  }
}

function total(values: usize, single: bool, first: i32, count: i32): f64 {
  let sum = 0.0;
  for (let i = first; i < first + count; i++) {
    sum += single ? <f64>load<f32>(values + ((<usize>i) << 2)) : get(values, i);
  }
  return sum;
}

/** A copy of a block that takes no more room than it needs; 0 if memory is exhausted. */
export function keepRaw(raw: Raw, constraints: i32): usize {
  const rows = <usize>raw.rows;
  const responses = <usize>raw.responses;
  const kept = changetype<Raw>(allocate(offsetof<Raw>()));
  if (changetype<usize>(kept) == 0) return 0;
  const size = responses << ((raw.flags & SINGLE_REWARD) != 0 ? 2 : 3);
  const plane = responses << ((raw.flags & SINGLE_SAFETY) != 0 ? 2 : 3);
  const weights: usize = raw.weight == 0 ? 0 : responses << ((raw.flags & SINGLE_WEIGHT) != 0 ? 2 : 3);
  const logs: usize = (raw.flags & COMMON_LOGS) != 0 ? 0 : rows << 3;
  memory.copy(changetype<usize>(kept), changetype<usize>(raw), offsetof<Raw>());
  let at = allocate((rows << 2) + logs + size + plane * constraints + weights);
  if (at == 0) return 0;
  if (logs != 0) {
    kept.logCount = at;
    memory.copy(at, raw.logCount, logs);
    at += logs;
  }
  kept.reward = at;
  memory.copy(at, raw.reward, size);
  at += size;
  kept.safety = at;
  kept.plane = plane;
  for (let j: usize = 0; j < <usize>constraints; j++) {
    memory.copy(at, raw.safety + j * raw.plane, plane);
    at += plane;
  }
  if (weights != 0) {
    kept.weight = at;
    memory.copy(at, raw.weight, weights);
    at += weights;
  }
  kept.count = at;
  memory.copy(at, raw.count, rows << 2);
  return changetype<usize>(kept);
}

/** `evaluateBlocks` on blocks; `out`, if not 0, is for the first row of the first block. */
export function evaluateRawShare(
  raws: usize,
  lambda: usize,
  beta: f64,
  partial: usize,
  out: usize,
  lane: usize,
  firstBlock: i32,
  endBlock: i32,
): void {
  const own = laneAt(lane);
  const scores = own.scores;
  const m = scores.constraints;
  for (let block = firstBlock; block < endBlock; block++) {
    if (!open(rawAt(raws, block), scores, own.sums)) continue;
    const sums = partial + ((<usize>(block * evaluationWidth(m))) << 3);
    const rows: usize = out == 0 ? 0 : out + ((<usize>(block * BLOCK * descriptionWidth(m))) << 3);
    evaluateBlocks(scores, own.scratch, lambda, beta, 0, 1, sums, rows, 0);
  }
}

/** `supportBlocks` on blocks. */
export function supportRawShare(
  raws: usize,
  direction: usize,
  partial: usize,
  lane: usize,
  firstBlock: i32,
  endBlock: i32,
): void {
  const own = laneAt(lane);
  for (let block = firstBlock; block < endBlock; block++) {
    if (!open(rawAt(raws, block), own.scores, own.sums)) continue;
    supportBlocks(own.scores, direction, 0, 1, partial + ((<usize>block) << 3));
  }
}

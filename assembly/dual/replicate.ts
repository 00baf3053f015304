/**
 * Bootstrap replicates in shares that threads may take in any order: each is drawn, solved and described with what its
 * thread has of its own, and writes its own results alone.
 */
import { allocate } from '../memory';
import { sumBlocks } from './blocks';
import { get, set } from './box';
import { describeRows, descriptionWidth } from './describe';
import { evaluateBlocks, evaluationWidth } from './evaluate';
import { absorb, begin, CONVERGED, createNewton, endsThere, isLast, Newton, next } from './newton';
import { drawTimes, weightedSum, weightedSums } from './resample';
import { BLOCK, Scores } from './scores';
import { createScratch, Scratch } from './softmax';

/** What a thread has of its own. */
@unmanaged
export class Bench {
  scratch: Scratch;
  newton: Newton;
  /** f64[prompts]: how often each is in the replicate. */
  times: usize;
  /** f64[blocks][evaluationWidth]. */
  partial: usize;
  /** f64[prompts][descriptionWidth]: the rows at the replicate's λ. */
  rows: usize;
  /** f64[m]: mean middles of the replicate less the thresholds asked of it. */
  offset: usize;
}

/** 0 if memory is exhausted. */
export function createBench(scores: Scores): usize {
  const m = scores.constraints;
  const prompts = <usize>scores.prompts;
  const blocks = (scores.prompts + BLOCK - 1) / BLOCK;
  const bench = changetype<Bench>(allocate(offsetof<Bench>()));
  if (changetype<usize>(bench) == 0) return 0;
  const scratch = createScratch(scores, BLOCK);
  const newton = createNewton(m);
  bench.scratch = changetype<Scratch>(scratch);
  bench.newton = changetype<Newton>(newton);
  bench.times = allocate(prompts << 3);
  bench.partial = allocate((<usize>(evaluationWidth(m) * blocks)) << 3);
  bench.rows = allocate((prompts * <usize>descriptionWidth(m)) << 3);
  bench.offset = allocate((<usize>m) << 3);
  const whole = scratch != 0 && newton != 0 && bench.times != 0 && bench.partial != 0 && bench.rows != 0;
  return whole && bench.offset != 0 ? changetype<usize>(bench) : 0;
}

/** f64 of a replicate's results: see `replicateShare`. */
// @ts-ignore: decorator
@inline function replicateWidth(constraints: i32): i32 {
  return 2 * descriptionWidth(constraints) + 2 * constraints + 2;
}

/** What a replicate asks for, as f64[m] one after another. */
// @ts-ignore: decorator
@inline function setting(settings: usize, which: i32, constraints: i32): usize {
  return settings + ((<usize>(which * constraints)) << 3);
}
const START = 0;
const THRESHOLD = 1;
/** Whether the threshold moves with the replicate's reference mean, and that of all prompts. */
const RELATIVE = 2;
const REFERENCE = 3;
const SAFETY_RANGE = 4;
/** The box in which `pruned` is the whole truth. */
const CENTRE = 5;
const RADIUS = 6;

/**
 * For each replicate writes, to f64[replicates][replicateWidth] at `out`, the mean columns of `rows` (those described at
 * the λ of all prompts) and what relative thresholds are moved by; with `solved`, also 1 if it has an optimum, else 0, and
 * that optimum's value, λ and mean columns. The search begins on `pruned`, if there is one.
 */
export function replicateShare(
  scores: Scores,
  pruned: usize,
  rows: usize,
  settings: usize,
  beta: f64,
  unit: f64,
  least: f64,
  key0: u32,
  key1: u32,
  solved: bool,
  out: usize,
  lane: usize,
  first: i32,
  end: i32,
): void {
  const bench = changetype<Bench>(<usize>load<u32>(lane));
  const m = scores.constraints;
  const width = descriptionWidth(m);
  const prompts = scores.prompts;
  const column = (<usize>prompts) << 3;
  const times = bench.times;
  for (let replicate = first; replicate < end; replicate++) {
    const policy = out + (<usize>(replicate * replicateWidth(m)) << 3);
    const moves = policy + ((<usize>width) << 3);
    const found = moves + ((<usize>m) << 3);
    drawTimes(times, prompts, key0, key1, replicate);
    means(rows, prompts, width, times, policy);
    for (let j = 0; j < m; j++) {
      const relative = get(setting(settings, RELATIVE, m), j) != 0.0;
      const mean = relative ? weightedSum(scores.mean + <usize>j * column, prompts, times) / <f64>prompts : 0.0;
      const threshold = get(setting(settings, THRESHOLD, m), j);
      const asked = relative ? threshold + mean - get(setting(settings, REFERENCE, m), j) : threshold;
      set(moves, j, asked);
      if (!solved) continue;
      const middle = weightedSum(scores.middle + <usize>j * column, prompts, times) / <f64>prompts;
      set(bench.offset, j, middle - asked);
    }
    if (!solved) continue;
    let part = scores;
    let solvedHere = false;
    if (pruned != 0) {
      part = changetype<Scores>(pruned);
      solvedHere = solve(bench, part, settings, beta, unit, least) && inBox(bench, settings, m);
    }
    if (!solvedHere) solvedHere = solve(bench, scores, settings, beta, unit, least);
    store<f64>(found, solvedHere ? 1.0 : 0.0);
    if (!solvedHere) continue;
    const newton = bench.newton;
    store<f64>(found, newton.trialValue + weightedSum(scores.top, prompts, times) / <f64>prompts, 8);
    const lambda = found + 16;
    for (let j = 0; j < m; j++) set(lambda, j, get(newton.lambda, j));
    means(bench.rows, prompts, width, times, lambda + ((<usize>m) << 3));
  }
}

function means(rows: usize, prompts: i32, width: i32, times: usize, out: usize): void {
  weightedSums(rows, prompts, width, times, out);
  for (let c = 0; c < width; c++) set(out, c, get(out, c) / <f64>prompts);
}

function inBox(bench: Bench, settings: usize, m: i32): bool {
  for (let j = 0; j < m; j++) {
    const off = get(bench.newton.lambda, j) - get(setting(settings, CENTRE, m), j);
    if (!(abs(off) <= get(setting(settings, RADIUS, m), j))) return false;
  }
  return true;
}

/** Searches for the optimum over a table, and describes its rows there; false where it has none within bounds. */
function solve(bench: Bench, part: Scores, settings: usize, beta: f64, unit: f64, least: f64): bool {
  const m = part.constraints;
  const newton = bench.newton;
  const blocks = (part.prompts + BLOCK - 1) / BLOCK;
  for (let j = 0; j < m; j++) {
    set(newton.offset, j, get(bench.offset, j));
    set(newton.range, j, get(setting(settings, SAFETY_RANGE, m), j));
    set(newton.lambda, j, get(setting(settings, START, m), j));
  }
  begin(newton, beta, unit, least);
  let described = false;
  do {
    described = isLast(newton);
    const rows = described ? bench.rows : 0;
    evaluateBlocks(part, bench.scratch, newton.lambda, newton.beta, 0, blocks, bench.partial, rows, bench.times);
    sumBlocks(bench.partial, blocks, evaluationWidth(m));
    absorb(newton, bench.partial, part.prompts);
  } while (next(newton));
  if (newton.status != CONVERGED) return false;
  if (!described || !endsThere(newton)) {
    describeRows(part, bench.scratch, newton.lambda, beta, 0, part.prompts, bench.rows);
  }
  return true;
}

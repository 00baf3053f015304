/**
 * The softmax of one row at λ. Responses more than CUTOFF·β below the row's maximum weigh less than 5e-18 and are left
 * out; when most are, the few that remain are gathered, so that all later work is on them alone.
 */
import { exp2lanes } from '../math';
import { allocate } from '../memory';
import { Scores } from './scores';

export const CUTOFF: f64 = 40.0;

/** Buffers of one evaluating thread. */
@unmanaged
export class Scratch {
  /** f64[longest]: r + λᵀg. */
  score: usize;
  /** f64[longest + 1]: exp((score - max) / β). */
  weight: usize;
  /** u32[longest + 64]: the elements that remain. */
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
  scratch.score = allocate(row);
  scratch.weight = allocate(row);
  scratch.index = allocate(((<usize>scores.longest) + 64) << 2);
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
/** Weights kept for the last row: an even number, the last one 0 where there was an odd number. */
export let kept: i32 = 0;
/** Whether they were gathered (`scratch.index` says from where) or lie at their own places. */
export let compact: bool = false;
/** f64 safety scores that belong to the weights, and the bytes from one constraint's to the next one's. */
export let safety: usize = 0;
export let plane: usize = 0;

/** score[k] = r[k] + Σ_j λ_j g_j[k]; returns max_k. */
function combine(scores: Scores, lambda: usize, first: usize, size: usize, score: usize): f64 {
  const m = scores.constraints;
  let most = f64x2.splat(-Infinity);
  let from = scores.reward + first;
  for (let j = 0; j < m; j += 2) {
    const g0 = scores.safety + (<usize>j) * scores.plane + first;
    const l0 = v128.load64_splat(lambda + ((<usize>j) << 3));
    if (j + 1 < m) {
      const g1 = g0 + scores.plane;
      const l1 = v128.load64_splat(lambda + ((<usize>(j + 1)) << 3));
      for (let i: usize = 0; i < size; i += 16) {
        const s = f64x2.add(
          f64x2.add(v128.load(from + i), f64x2.mul(l0, v128.load(g0 + i))),
          f64x2.mul(l1, v128.load(g1 + i)),
        );
        v128.store(score + i, s);
        most = f64x2.pmax(most, s);
      }
    } else {
      for (let i: usize = 0; i < size; i += 16) {
        const s = f64x2.add(v128.load(from + i), f64x2.mul(l0, v128.load(g0 + i)));
        v128.store(score + i, s);
        most = f64x2.pmax(most, s);
      }
    }
    from = score;
    if (j + 2 < m) most = f64x2.splat(-Infinity);
  }
  const a = f64x2.extract_lane(most, 0);
  const b = f64x2.extract_lane(most, 1);
  return a > b ? a : b;
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

/** Writes the positions of the scores that are at least `least`; their number. */
function select(score: usize, elements: i32, least: f64, index: usize): i32 {
  const bound = f64x2.splat(least);
  let out = index;
  let i = 0;
  for (; i + 64 <= elements; i += 64) {
    const p = score + ((<usize>i) << 3);
    let mask =
      <u64>atLeast(p, bound) |
      (<u64>atLeast(p + 128, bound) << 16) |
      (<u64>atLeast(p + 256, bound) << 32) |
      (<u64>atLeast(p + 384, bound) << 48);
    for (; mask != 0; mask &= mask - 1) {
      store<i32>(out, i + <i32>ctz(mask));
      out += 4;
    }
  }
  for (; i < elements; i++) {
    store<i32>(out, i);
    out += load<f64>(score + ((<usize>i) << 3)) >= least ? 4 : 0;
  }
  return <i32>((out - index) >> 2);
}

/** Fills weight, total, kept, compact, safety, plane for the row whose elements start at byte `first`. */
export function softmax(scores: Scores, scratch: Scratch, lambda: usize, beta: f64, first: usize, count: i32): void {
  const m = scores.constraints;
  const padded = (count + 1) & ~1;
  const score = scratch.score;
  const weight = scratch.weight;
  top = combine(scores, lambda, first, (<usize>padded) << 3, score);
  const inverse = 1.0 / beta;
  const survivors = select(score, padded, top - CUTOFF * beta, scratch.index);
  if (survivors * 4 <= padded) {
    compact = true;
    for (let i = 0; i < survivors; i++) {
      const from = (<usize>load<u32>(scratch.index + ((<usize>i) << 2))) << 3;
      const to = (<usize>i) << 3;
      store<f64>(weight + to, (load<f64>(score + from) - top) * inverse);
      for (let j = 0; j < m; j++) {
        store<f64>(
          scratch.gathered + (<usize>j) * scratch.plane + to,
          load<f64>(scores.safety + (<usize>j) * scores.plane + first + from),
        );
      }
    }
    kept = (survivors + 1) & ~1;
    if (survivors & 1) {
      const last = (<usize>survivors) << 3;
      store<f64>(weight + last, -Infinity);
      for (let j = 0; j < m; j++) store<f64>(scratch.gathered + (<usize>j) * scratch.plane + last, 0.0);
    }
    exponentiate(weight, kept, f64x2.splat(0.0), f64x2.splat(1.0));
    safety = scratch.gathered;
    plane = scratch.plane;
  } else {
    compact = false;
    kept = padded;
    memory.copy(weight, score, (<usize>padded) << 3);
    exponentiate(weight, kept, f64x2.splat(top), f64x2.splat(inverse));
    safety = scores.safety + first;
    plane = scores.plane;
  }
}

/** Replaces each value by exp((value - shift)·scale), 0 where that is below the cutoff; leaves the sum in `total`. */
function exponentiate(values: usize, count: i32, shift: v128, scale: v128): void {
  const cutoff = f64x2.splat(-CUTOFF);
  const end = values + ((<usize>count) << 3);
  let sum = f64x2.splat(0.0);
  for (let p = values; p < end; p += 16) {
    const x = f64x2.mul(f64x2.sub(v128.load(p), shift), scale);
    const e = v128.and(exp2lanes(f64x2.pmax(x, cutoff)), f64x2.ge(x, cutoff));
    v128.store(p, e);
    sum = f64x2.add(sum, e);
  }
  total = f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
}

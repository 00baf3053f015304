/** Drawing tokens; a unit of work is one row. */
import { log } from '../math';
import { bytesOf } from './lanes';
import { philox } from '../philox';
import { expSum, rowMax } from './softmax';

/** Maps floats to unsigned integers of the same order; -0 and 0 are one value. */
// @ts-ignore: decorator
@inline function rank(x: f32): u32 {
  const bits = reinterpret<u32>(x + 0);
  return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

/**
 * The largest rank r of which the elements of rank ≥ r weigh at least `wanted`; their weight is 1 where `weights` is 0.
 * Goes from byte to byte of the rank, with the weight of each value of the byte in bins f64 `[256]`.
 */
function threshold(row: usize, weights: usize, count: i32, wanted: f64, bins: usize): u32 {
  let prefix: u32 = 0;
  let above: f64 = 0;
  for (let shift = 24; shift >= 0; shift -= 8) {
    memory.fill(bins, 0, 256 * 8);
    const known = shift == 24 ? <u32>0 : (<u32>0xffffffff) << (shift + 8);
    for (let i = 0; i < count; i++) {
      const r = rank(load<f32>(row + bytesOf(i)));
      if ((r & known) != prefix) continue;
      const bin = bins + (<usize>((r >> shift) & 255) << 3);
      store<f64>(bin, load<f64>(bin) + (weights ? <f64>load<f32>(weights + bytesOf(i)) : 1));
    }
    let value: u32 = 255;
    let reached = above;
    for (; value > 0; value--) {
      const next = reached + load<f64>(bins + (<usize>value << 3));
      if (next >= wanted) break;
      reached = next;
    }
    above = reached;
    prefix |= value << shift;
  }
  return prefix;
}

/** Weight of what ranks below `least` becomes 0; returns the sum of the rest. */
function keep(row: usize, weights: usize, count: i32, least: u32): f64 {
  let sum: f64 = 0;
  for (let i = 0; i < count; i++) {
    const at = weights + bytesOf(i);
    if (rank(load<f32>(row + bytesOf(i))) < least) store<f32>(at, 0);
    else sum += <f64>load<f32>(at);
  }
  return sum;
}

/** The first id at which the running sum of weights passes `target`; rounding can keep it just short: then the last. */
function draw(weights: usize, count: i32, target: f64): i32 {
  let running: f64 = 0;
  let last = 0;
  for (let i = 0; i < count; i++) {
    const weight = load<f32>(weights + bytesOf(i));
    if (weight > 0) {
      running += <f64>weight;
      last = i;
      if (running > target) return i;
    }
  }
  return last;
}

/** Bytes of scratch that `sample` needs. */
export function sampleScratch(vocab: i32): usize {
  return 256 * 8 + ((bytesOf(vocab) + 15) & ~15);
}

/** next u32 `[b]`: a token per row of logits `[b, vocab]`, and its log-probability, logps `[b]`, as `Engine.sample` describes. */
export function sample(
  next: usize,
  logps: usize,
  logits: usize,
  streams: usize,
  lengths: usize,
  vocab: i32,
  temperature: f64,
  topK: i32,
  topP: f64,
  key0: u32,
  key1: u32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const bins = scratch;
  const weights = scratch + 256 * 8;
  for (let i = first; i < end; i++) {
    const row = logits + <usize>i * bytesOf(vocab);
    const most = rowMax(row, vocab);
    let token = 0;
    let logp: f64 = 0;
    if (temperature == 0) {
      while (token < vocab - 1 && load<f32>(row + bytesOf(token)) < most) token++;
    } else {
      expSum(row, vocab, most, <f32>(1 / temperature), weights);
      let total = keep(row, weights, vocab, 0);
      if (topK > 0 && topK < vocab) {
        total = keep(row, weights, vocab, threshold(row, 0, vocab, <f64>topK, bins));
      }
      if (topP < 1) total = keep(row, weights, vocab, threshold(row, weights, vocab, topP * total, bins));
      const stream = streams + ((<usize>i) << 3);
      const word = philox(key0, key1, load<u32>(stream), load<u32>(stream, 4), load<u32>(lengths + bytesOf(i)), 0);
      token = draw(weights, vocab, (<f64>(word >> 8) / 16777216) * total);
      logp = (<f64>load<f32>(row + bytesOf(token)) - <f64>most) / temperature - log(total);
    }
    store<f32>(logps + bytesOf(i), <f32>logp);
    store<u32>(next + bytesOf(i), token);
  }
}

/** Bytes of scratch that `repetitionPenalty` needs: a bit for each token. */
export function repetitionPenaltyScratch(vocab: i32): usize {
  return ((<usize>vocab + 127) >> 7) << 4;
}

/** Penalizes tokens that stand in a row, as `Engine.repetitionPenalty` describes. */
export function repetitionPenalty(
  logits: usize,
  tokens: usize,
  lengths: usize,
  vocab: i32,
  max: i32,
  penalty: f64,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  for (let i = first; i < end; i++) {
    memory.fill(scratch, 0, repetitionPenaltyScratch(vocab));
    const row = tokens + <usize>i * bytesOf(max);
    const length = <i32>min(load<u32>(lengths + bytesOf(i)), <u32>max);
    for (let t = 0; t < length; t++) {
      const token = load<u32>(row + bytesOf(t));
      if (token >= <u32>vocab) continue;
      const byte = scratch + (<usize>token >> 3);
      const bit = <u32>1 << (token & 7);
      const seen = <u32>load<u8>(byte);
      if (seen & bit) continue;
      store<u8>(byte, <u8>(seen | bit));
      const at = logits + <usize>i * bytesOf(vocab) + bytesOf(<i32>token);
      const x = load<f32>(at);
      store<f32>(at, x < 0 ? x * <f32>penalty : x / <f32>penalty);
    }
  }
}

/** Appends a token to each row that is not finished, as `Engine.advance` describes. */
export function advance(
  tokens: usize,
  lengths: usize,
  finished: usize,
  current: usize,
  positions: usize,
  next: usize,
  eos: usize,
  max: i32,
  eosCount: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  for (let i = first; i < end; i++) {
    const row = tokens + <usize>i * bytesOf(max);
    let length = <i32>min(load<u32>(lengths + bytesOf(i)), <u32>max);
    let done = load<u32>(finished + bytesOf(i)) != 0 || length == max;
    if (!done) {
      const token = load<u32>(next + bytesOf(i));
      store<u32>(row + bytesOf(length), token);
      length++;
      done = length == max;
      for (let e = 0; e < eosCount; e++) done = done || token == load<u32>(eos + bytesOf(e));
    }
    const last = (length > 1 ? length : 1) - 1;
    store<u32>(lengths + bytesOf(i), length);
    store<u32>(finished + bytesOf(i), done ? 1 : 0);
    store<u32>(current + bytesOf(i), load<u32>(row + bytesOf(last)));
    store<u32>(positions + bytesOf(i), last);
  }
}

/** Causal attention with grouped queries. A unit of work is one key head of one sequence, with the heads it serves. */
import { bytesOf } from './lanes';
import { packColumns, packTransposed, transpose4 } from './pack';
import { softmaxRow } from './softmax';
import { tile } from './tile';

/** A score of a key that a query does not see: its exp is 0 beside any other's. */
const UNSEEN: f32 = -3.0e38;

// @ts-ignore: decorator
@inline function eights(n: i32): i32 {
  return (n + 7) & ~7;
}

/** Bytes of scratch that `attention` needs. */
export function attentionScratch(t: i32, dim: i32): usize {
  return bytesOf(eights(t) * dim + t * eights(dim) + 4 * dim + 8 * eights(t));
}

/** First key of a tile of eight that a query sees which sees `count` keys, the last `window` of them. */
// @ts-ignore: decorator
@inline export function firstTile(count: i32, window: i32): i32 {
  return max(0, count - window) & ~7;
}

/** Scores of the keys from `from` on that stand before the last `window` of `count` become `value`. */
// @ts-ignore: decorator
@inline export function hideKeys(scores: usize, from: i32, count: i32, window: i32, value: f32): void {
  for (let j = from; j < count - window; j++) store<f32>(scores + bytesOf(j), value);
}

/** out, q `[b, t, heads, dim]`, k, v `[b, t, groups, dim]`, lse `[b, heads, t]`; a query sees the last `window` keys. */
export function attention(
  out: usize,
  lse: usize,
  q: usize,
  k: usize,
  v: usize,
  t: i32,
  heads: i32,
  groups: i32,
  dim: i32,
  scale: f32,
  window: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const width = eights(t);
  const keys = scratch;
  const values = keys + bytesOf(width * dim);
  const query = values + bytesOf(t * eights(dim));
  const scores = query + bytesOf(4 * dim);
  const weights = scores + bytesOf(4 * width);
  const scoreStep = bytesOf(width);
  const queryStep = bytesOf(heads * dim);
  const keyStep = bytesOf(groups * dim);
  const shared = heads / groups;
  for (let unit = first; unit < end; unit++) {
    const batch = unit / groups;
    const group = unit % groups;
    const keyAt = bytesOf((batch * t * groups + group) * dim);
    packTransposed(keys, k + keyAt, keyStep, dim, t);
    packColumns(values, v + keyAt, keyStep, t, dim);
    for (let head = group * shared; head < (group + 1) * shared; head++) {
      const sums = lse + bytesOf((batch * heads + head) * t);
      for (let i = 0; i < t; i += 4) {
        const rows = min(4, t - i);
        const seen = i + rows;
        const from = firstTile(i + 1, window);
        const offset = bytesOf(from);
        const at = bytesOf(((batch * t + i) * heads + head) * dim);
        transpose4(query, 16, q + at, queryStep, dim, rows);
        for (let j = from; j < seen; j += 8) {
          tile(query, keys + bytesOf(j * dim), 32, dim, scores + bytesOf(j), scoreStep, rows, 8, scale, false);
        }
        for (let row = 0; row < rows; row++) {
          const scoresOf = scores + <usize>row * scoreStep;
          const count = i + row + 1;
          hideKeys(scoresOf, from, count, window, UNSEEN);
          softmaxRow(scoresOf + offset, count - from, seen - from, sums + bytesOf(i + row));
        }
        transpose4(weights, 16, scores + offset, scoreStep, seen - from, rows);
        for (let c = 0; c < dim; c += 8) {
          const to = out + at + bytesOf(c);
          const column = values + bytesOf(c * t + 8 * from);
          tile(weights, column, 32, seen - from, to, queryStep, rows, min(8, dim - c), 1, false);
        }
      }
    }
  }
}

/** Bytes of scratch that `attentionCached` needs. */
export function attentionCachedScratch(length: i32, dim: i32): usize {
  return bytesOf(eights(length) * (dim + 8) + 4 * dim);
}

/** out, q `[b, heads, dim]`, caches `[b, length, groups, dim]`, lengths u32 `[b]`, of which the last `window` are seen. */
export function attentionCached(
  out: usize,
  q: usize,
  kCache: usize,
  vCache: usize,
  lengths: usize,
  length: i32,
  heads: i32,
  groups: i32,
  dim: i32,
  scale: f32,
  window: i32,
  scratch: usize,
  first: i32,
  end: i32,
): void {
  const shared = heads / groups;
  const width = eights(length);
  const keys = scratch;
  const query = keys + bytesOf(width * dim);
  const scores = query + bytesOf(4 * dim);
  const weights = scores + bytesOf(4 * width);
  const scoreStep = bytesOf(width);
  const headStep = bytesOf(dim);
  const keyStep = bytesOf(groups * dim);
  for (let unit = first; unit < end; unit++) {
    const batch = unit / groups;
    const group = unit % groups;
    const written = min(load<i32>(lengths + bytesOf(batch)), length);
    const count = min(written, window);
    const keyAt = bytesOf(((batch * length + written - count) * groups + group) * dim);
    packTransposed(keys, kCache + keyAt, keyStep, dim, count);
    for (let head = 0; head < shared; head += 4) {
      const rows = min(4, shared - head);
      const at = bytesOf((batch * heads + group * shared + head) * dim);
      transpose4(query, 16, q + at, headStep, dim, rows);
      for (let j = 0; j < count; j += 8) {
        tile(query, keys + bytesOf(j * dim), 32, dim, scores + bytesOf(j), scoreStep, rows, 8, scale, false);
      }
      for (let row = 0; row < rows; row++) softmaxRow(scores + <usize>row * scoreStep, count, count, 0);
      transpose4(weights, 16, scores, scoreStep, count, rows);
      for (let c = 0; c < dim; c += 8) {
        const from = vCache + keyAt + bytesOf(c);
        tile(weights, from, keyStep, count, out + at + bytesOf(c), headStep, rows, min(8, dim - c), 1, false);
      }
    }
  }
}

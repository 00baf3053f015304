import { firstTile, hideKeys } from './attention';
import { bytesOf, exp4 } from './lanes';
import { copy4, packColumns, packTransposed, transpose4 } from './pack';
import { tile } from './tile';

/** Queries taken together: long enough a sum for dk and dv, few enough that their scores stay in the cache. */
const QUERIES: i32 = 32;

// @ts-ignore: decorator
@inline function eights(n: i32): i32 {
  return (n + 7) & ~7;
}

/** Bytes of scratch that `attentionBackward` needs. */
export function attentionBackwardScratch(t: i32, dim: i32): usize {
  const panels = 2 * eights(t) * dim + t * eights(dim);
  return bytesOf(panels + 2 * QUERIES * eights(t) + 4 * max(eights(t), max(dim, QUERIES)));
}

// @ts-ignore: decorator
@inline function dot(a: usize, b: usize, dim: i32): f32 {
  let sum: f32 = 0;
  for (let c = 0; c < dim; c++) sum += load<f32>(a + bytesOf(c)) * load<f32>(b + bytesOf(c));
  return sum;
}

/** scores = exp(scores - sum), slopes = scale · scores · (slopes - along), and zeros from `count` to `width`. */
function differentiate(
  scores: usize,
  slopes: usize,
  count: i32,
  width: i32,
  sum: f32,
  along: f32,
  scale: f32,
): void {
  const sums = f32x4.splat(sum);
  const mean = f32x4.splat(along);
  const factor = f32x4.splat(scale);
  for (let j = 0; j < count; j += 4) {
    const at = bytesOf(j);
    const p = exp4(f32x4.sub(v128.load(scores + at), sums));
    v128.store(scores + at, p);
    v128.store(slopes + at, f32x4.mul(f32x4.mul(factor, p), f32x4.sub(v128.load(slopes + at), mean)));
  }
  memory.fill(scores + bytesOf(count), 0, bytesOf(width - count));
  memory.fill(slopes + bytesOf(count), 0, bytesOf(width - count));
}

/** Gradients of `attention`: dq, dout, q, out `[b, t, heads, dim]`, dk, dv, k, v `[b, t, groups, dim]`. */
export function attentionBackward(
  dq: usize,
  dk: usize,
  dv: usize,
  dout: usize,
  q: usize,
  k: usize,
  v: usize,
  out: usize,
  lse: usize,
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
  const keyColumns = values + bytesOf(width * dim);
  const scores = keyColumns + bytesOf(t * eights(dim));
  const slopes = scores + bytesOf(QUERIES * width);
  const packed = slopes + bytesOf(QUERIES * width);
  const scoreStep = bytesOf(width);
  const queryStep = bytesOf(heads * dim);
  const keyStep = bytesOf(groups * dim);
  const shared = heads / groups;
  for (let unit = first; unit < end; unit++) {
    const batch = unit / groups;
    const group = unit % groups;
    const keyAt = bytesOf((batch * t * groups + group) * dim);
    packTransposed(keys, k + keyAt, keyStep, dim, t);
    packTransposed(values, v + keyAt, keyStep, dim, t);
    packColumns(keyColumns, k + keyAt, keyStep, t, dim);
    for (let j = 0; j < t; j++) {
      memory.fill(dk + keyAt + <usize>j * keyStep, 0, bytesOf(dim));
      memory.fill(dv + keyAt + <usize>j * keyStep, 0, bytesOf(dim));
    }
    for (let head = group * shared; head < (group + 1) * shared; head++) {
      for (let start = 0; start < t; start += QUERIES) {
        const queries = min(QUERIES, t - start);
        const seen = start + queries;
        const lowest = firstTile(start + 1, window);
        const at = bytesOf(((batch * t + start) * heads + head) * dim);
        for (let i = 0; i < queries; i += 4) {
          const rows = min(4, queries - i);
          const row = at + <usize>i * queryStep;
          const offset = <usize>i * scoreStep;
          const until = start + i + rows;
          const from = firstTile(start + i + 1, window);
          const skipped = offset + bytesOf(from);
          transpose4(packed, 16, q + row, queryStep, dim, rows);
          for (let j = from; j < until; j += 8) {
            const to = scores + offset + bytesOf(j);
            tile(packed, keys + bytesOf(j * dim), 32, dim, to, scoreStep, rows, 8, scale, false);
          }
          transpose4(packed, 16, dout + row, queryStep, dim, rows);
          for (let j = from; j < until; j += 8) {
            const to = slopes + offset + bytesOf(j);
            tile(packed, values + bytesOf(j * dim), 32, dim, to, scoreStep, rows, 8, 1, false);
          }
          for (let r = 0; r < rows; r++) {
            const position = start + i + r;
            const here = row + <usize>r * queryStep;
            const stored = <usize>r * scoreStep;
            const sum = load<f32>(lse + bytesOf((batch * heads + head) * t + position));
            const along = dot(dout + here, out + here, dim);
            differentiate(
              scores + skipped + stored,
              slopes + skipped + stored,
              position + 1 - from,
              width - from,
              sum,
              along,
              scale,
            );
            hideKeys(scores + offset + stored, lowest, position + 1, window, 0);
            hideKeys(slopes + offset + stored, lowest, position + 1, window, 0);
          }
          transpose4(packed, 16, slopes + skipped, scoreStep, until - from, rows);
          for (let c = 0; c < dim; c += 8) {
            const to = dq + row + bytesOf(c);
            const column = keyColumns + bytesOf(c * t + 8 * from);
            tile(packed, column, 32, until - from, to, queryStep, rows, min(8, dim - c), 1, false);
          }
        }
        for (let j = lowest; j < seen; j += 4) {
          // No earlier query sees key j.
          const from = max(0, j - start);
          const terms = queries - from;
          const corner = <usize>from * scoreStep + bytesOf(j);
          const rows = min(4, seen - j);
          const key = keyAt + <usize>j * keyStep;
          const row = at + <usize>from * queryStep;
          copy4(packed, 16, slopes + corner, scoreStep, terms, 4);
          for (let c = 0; c < dim; c += 8) {
            const to = dk + key + bytesOf(c);
            tile(packed, q + row + bytesOf(c), queryStep, terms, to, keyStep, rows, min(8, dim - c), 1, true);
          }
          copy4(packed, 16, scores + corner, scoreStep, terms, 4);
          for (let c = 0; c < dim; c += 8) {
            const to = dv + key + bytesOf(c);
            tile(packed, dout + row + bytesOf(c), queryStep, terms, to, keyStep, rows, min(8, dim - c), 1, true);
          }
        }
      }
    }
  }
}

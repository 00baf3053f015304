/** Packing for `tile`: groups of four lanes, `toStep` bytes apart, one group per term of the sum. */
import { DECODE_SLACK, decode } from './decode';
import { bytesOf, loadPart } from './lanes';

/** to[l] = the l-th floats of four rows `fromStep` bytes apart; rows from `rows` on repeat the last one. */
export function transpose4(to: usize, toStep: usize, from: usize, fromStep: usize, k: i32, rows: i32): void {
  let p0 = from;
  let p1 = rows > 1 ? p0 + fromStep : p0;
  let p2 = rows > 2 ? p1 + fromStep : p1;
  let p3 = rows > 3 ? p2 + fromStep : p2;
  let l = 0;
  for (; l + 4 <= k; l += 4) {
    const r0 = v128.load(p0);
    const r1 = v128.load(p1);
    const r2 = v128.load(p2);
    const r3 = v128.load(p3);
    const a = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
    const b = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
    const c = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
    const d = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
    v128.store(to, v128.shuffle<f32>(a, b, 0, 1, 4, 5));
    to += toStep;
    v128.store(to, v128.shuffle<f32>(a, b, 2, 3, 6, 7));
    to += toStep;
    v128.store(to, v128.shuffle<f32>(c, d, 0, 1, 4, 5));
    to += toStep;
    v128.store(to, v128.shuffle<f32>(c, d, 2, 3, 6, 7));
    to += toStep;
    p0 += 16;
    p1 += 16;
    p2 += 16;
    p3 += 16;
  }
  for (; l < k; l++) {
    store<f32>(to, load<f32>(p0));
    store<f32>(to, load<f32>(p1), 4);
    store<f32>(to, load<f32>(p2), 8);
    store<f32>(to, load<f32>(p3), 12);
    to += toStep;
    p0 += 4;
    p1 += 4;
    p2 += 4;
    p3 += 4;
  }
}

/** to[l] = the first four floats of row l, rows `fromStep` bytes apart; only `columns` of them where there are fewer. */
export function copy4(to: usize, toStep: usize, from: usize, fromStep: usize, k: i32, columns: i32): void {
  if (columns >= 4) {
    for (let l = 0; l < k; l++) {
      v128.store(to, v128.load(from));
      to += toStep;
      from += fromStep;
    }
  } else if (columns > 0) {
    for (let l = 0; l < k; l++) {
      v128.store(to, loadPart(from, columns));
      to += toStep;
      from += fromStep;
    }
  }
}

/** Panels `[n / 8, k, 8]` of b's columns, for a b stored `[n, k]`. */
export function packTransposed(to: usize, from: usize, fromStep: usize, k: i32, n: i32): void {
  for (let j = 0; j < n; j += 8) {
    transpose4(to, 32, from, fromStep, k, n - j);
    if (n - j > 4) transpose4(to + 16, 32, from + 4 * fromStep, fromStep, k, n - j - 4);
    to += (<usize>k) << 5;
    from += 8 * fromStep;
  }
}

/** Panels `[n / 8, k, 8]` of b's columns, for a b stored `[k, n]`. */
export function packColumns(to: usize, from: usize, fromStep: usize, k: i32, n: i32): void {
  for (let j = 0; j < n; j += 8) {
    copy4(to, 32, from, fromStep, k, n - j);
    copy4(to + 16, 32, from + 16, fromStep, k, n - j - 4);
    to += (<usize>k) << 5;
    from += 32;
  }
}

/** Bytes of scratch that `packFormat` needs for panels of `terms` terms and `columns` columns. */
export function packFormatScratch(terms: i32, columns: i32): usize {
  return max<usize>(8 * (bytesOf(terms) + DECODE_SLACK), bytesOf(columns) + DECODE_SLACK) + DECODE_SLACK;
}

/**
 * The panels of `packTransposed` (`transposed`: rows of b are columns of the panels) or of `packColumns`, for weights in
 * a format that is not F32: from value `start` on, in rows of `stride` values.
 */
export function packFormat(
  to: usize,
  weights: usize,
  format: i32,
  start: i32,
  stride: i32,
  k: i32,
  n: i32,
  transposed: bool,
  scratch: usize,
): void {
  const values = scratch + DECODE_SLACK;
  if (transposed) {
    const step = bytesOf(k) + DECODE_SLACK;
    for (let j = 0; j < n; j += 8) {
      const rows = min(8, n - j);
      for (let row = 0; row < rows; row++) {
        decode(values + <usize>row * step, weights, format, start + (j + row) * stride, k);
      }
      packTransposed(to, values, step, k, rows);
      to += (<usize>k) << 5;
    }
    return;
  }
  const panel = (<usize>k) << 5;
  for (let l = 0; l < k; l++) {
    decode(values, weights, format, start + l * stride, n);
    let from = values;
    for (let j = 0, at = to + ((<usize>l) << 5); j < n; j += 8, at += panel, from += 32) {
      v128.store(at, v128.load(from));
      v128.store(at, v128.load(from, 16), 16);
    }
  }
}

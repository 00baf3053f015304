/**
 * Products of one row with a matrix stored `[n, k]`, as in decoding: each value of the matrix is used once, so it goes from
 * memory through registers, and is not packed first. Sums have the order, and so the bits, of `tile`.
 */
import { BF16, brainHalves4, bytesOfValues, DECODE_SLACK, decode, F16, F32, halves4, NF4 } from './decode';
import { bytesOf, mad } from './lanes';
import { storeRow } from './tile';

// @ts-ignore: decorator
@inline function load4(from: usize, format: i32): v128 {
  return format == F32 ? v128.load(from) : format == F16 ? halves4(from) : brainHalves4(from);
}

/** c + the terms l … l + 3 of four columns, whose values of b are at p0 … p3. */
// @ts-ignore: decorator
@inline function terms4(c: v128, a: usize, p0: usize, p1: usize, p2: usize, p3: usize, format: i32): v128 {
  const r0 = load4(p0, format);
  const r1 = load4(p1, format);
  const r2 = load4(p2, format);
  const r3 = load4(p3, format);
  const a01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const b01 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const a23 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const b23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  c = mad(c, v128.load32_splat(a), v128.shuffle<f32>(a01, b01, 0, 1, 4, 5));
  c = mad(c, v128.load32_splat(a, 4), v128.shuffle<f32>(a01, b01, 2, 3, 6, 7));
  c = mad(c, v128.load32_splat(a, 8), v128.shuffle<f32>(a23, b23, 0, 1, 4, 5));
  return mad(c, v128.load32_splat(a, 12), v128.shuffle<f32>(a23, b23, 2, 3, 6, 7));
}

/** Of up to eight columns, whose rows of b are `bStep` bytes apart. */
// @ts-ignore: decorator
@inline function product(
  a: usize,
  b: usize,
  bStep: usize,
  format: i32,
  k: i32,
  c: usize,
  columns: i32,
  scale: f32,
  add: bool,
): void {
  const size: usize = format == F32 ? 16 : 8;
  // Columns that are not there repeat the last one.
  let p0 = b;
  let p1 = columns > 1 ? p0 + bStep : p0;
  let p2 = columns > 2 ? p1 + bStep : p1;
  let p3 = columns > 3 ? p2 + bStep : p2;
  let p4 = columns > 4 ? p3 + bStep : p3;
  let p5 = columns > 5 ? p4 + bStep : p4;
  let p6 = columns > 6 ? p5 + bStep : p5;
  let p7 = columns > 7 ? p6 + bStep : p6;
  let left = f32x4.splat(0);
  let right = left;
  for (const end = a + ((<usize>(k & ~3)) << 2); a < end; a += 16) {
    left = terms4(left, a, p0, p1, p2, p3, format);
    right = terms4(right, a, p4, p5, p6, p7, format);
    p0 += size;
    p1 += size;
    p2 += size;
    p3 += size;
    p4 += size;
    p5 += size;
    p6 += size;
    p7 += size;
  }
  const rest = k & 3;
  if (rest > 0) {
    left = lastTerms(left, a, rest, load4(p0, format), load4(p1, format), load4(p2, format), load4(p3, format));
    right = lastTerms(right, a, rest, load4(p4, format), load4(p5, format), load4(p6, format), load4(p7, format));
  }
  storeRow(c, left, right, columns, f32x4.splat(scale), add);
}

/** c + the last terms, fewer than four. What `load4` read beyond a row is left out. */
function lastTerms(c: v128, a: usize, count: i32, r0: v128, r1: v128, r2: v128, r3: v128): v128 {
  const low = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const high = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  c = mad(c, v128.load32_splat(a), v128.shuffle<f32>(low, high, 0, 1, 4, 5));
  if (count > 1) c = mad(c, v128.load32_splat(a, 4), v128.shuffle<f32>(low, high, 2, 3, 6, 7));
  if (count > 2) {
    const left = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
    const right = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
    c = mad(c, v128.load32_splat(a, 8), v128.shuffle<f32>(left, right, 0, 1, 4, 5));
  }
  return c;
}

/**
 * c `[columns]` = scale · a · bᵀ, or added to c: a `[k]`, and k values of each row of b in `format`, from value `start` on,
 * in rows of `stride` values. Scratch as `packFormatScratch` says.
 */
export function oneRow(
  c: usize,
  a: usize,
  b: usize,
  format: i32,
  start: i32,
  stride: i32,
  k: i32,
  columns: i32,
  scale: f32,
  add: bool,
  scratch: usize,
): void {
  const values = scratch + DECODE_SLACK;
  const step = bytesOf(k) + DECODE_SLACK;
  for (let j = 0; j < columns; j += 8, c += 32) {
    const width = min(8, columns - j);
    const first = start + j * stride;
    const from = b + bytesOfValues(first, format);
    if (format == F32) product(a, from, bytesOf(stride), F32, k, c, width, scale, add);
    else if (format == F16) product(a, from, bytesOfValues(stride, F16), F16, k, c, width, scale, add);
    else if (format == BF16) product(a, from, bytesOfValues(stride, BF16), BF16, k, c, width, scale, add);
    else {
      // Blocks have to be taken whole.
      for (let row = 0; row < width; row++) decode(values + <usize>row * step, b, NF4, first + row * stride, k);
      product(a, values, step, F32, k, c, width, scale, add);
    }
  }
}

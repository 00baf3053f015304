/**
 * The two inner kernels of every product. Each adds an element's terms in an order that hangs on nothing but k, so that
 * a result has the same bits wherever tiles begin and whichever thread computes them.
 */
import { bytesOf, loadPart, mad, storePart } from './lanes';

/** c = scale · row, or c + scale · row, for the first `columns` of eight. */
function storeRow(c: usize, left: v128, right: v128, columns: i32, scale: v128, add: bool): void {
  left = f32x4.mul(scale, left);
  right = f32x4.mul(scale, right);
  if (columns >= 4) {
    v128.store(c, add ? f32x4.add(v128.load(c), left) : left);
    c += 16;
    columns -= 4;
    left = right;
  }
  if (columns == 4) v128.store(c, add ? f32x4.add(v128.load(c), left) : left);
  else if (columns > 0) storePart(c, add ? f32x4.add(loadPart(c, columns), left) : left, columns);
}

/**
 * c `[rows ≤ 4, columns ≤ 8]` = scale · aᵀ · b, or added to c: a packed `[k, 4]`, b `[k, 8]` in rows `bStep` bytes apart,
 * c in rows `cStep` bytes apart. Terms are added one after the other.
 */
export function tile(
  a: usize,
  b: usize,
  bStep: usize,
  k: i32,
  c: usize,
  cStep: usize,
  rows: i32,
  columns: i32,
  scale: f32,
  add: bool,
): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  for (const end = a + ((<usize>k) << 4); a < end; a += 16, b += bStep) {
    const left = v128.load(b);
    const right = v128.load(b, 16);
    let x = v128.load32_splat(a);
    c00 = mad(c00, x, left);
    c01 = mad(c01, x, right);
    x = v128.load32_splat(a, 4);
    c10 = mad(c10, x, left);
    c11 = mad(c11, x, right);
    x = v128.load32_splat(a, 8);
    c20 = mad(c20, x, left);
    c21 = mad(c21, x, right);
    x = v128.load32_splat(a, 12);
    c30 = mad(c30, x, left);
    c31 = mad(c31, x, right);
  }
  const factor = f32x4.splat(scale);
  storeRow(c, c00, c01, columns, factor, add);
  if (rows > 1) storeRow(c + cStep, c10, c11, columns, factor, add);
  if (rows > 2) storeRow(c + 2 * cStep, c20, c21, columns, factor, add);
  if (rows > 3) storeRow(c + 3 * cStep, c30, c31, columns, factor, add);
}

/** The sums of four vectors' lanes. */
// @ts-ignore: decorator
@inline function sums(v0: v128, v1: v128, v2: v128, v3: v128): v128 {
  const s01 = f32x4.add(v128.shuffle<f32>(v0, v1, 0, 4, 1, 5), v128.shuffle<f32>(v0, v1, 2, 6, 3, 7));
  const s23 = f32x4.add(v128.shuffle<f32>(v2, v3, 0, 4, 1, 5), v128.shuffle<f32>(v2, v3, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(s01, s23, 0, 1, 4, 5), v128.shuffle<f32>(s01, s23, 2, 3, 6, 7));
}

/**
 * c `[rows ≤ 2, columns ≤ 4]` = scale · a · bᵀ, or added to c: rows of a and b hold k contiguous floats each. Four sums
 * run side by side, over every fourth term, and are added at the end. Rows that c lacks repeat others.
 */
export function dotTile(
  a0: usize,
  a1: usize,
  b0: usize,
  b1: usize,
  b2: usize,
  b3: usize,
  k: i32,
  c: usize,
  cStep: usize,
  rows: i32,
  columns: i32,
  scale: f32,
  add: bool,
): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c02 = c00;
  let c03 = c00;
  let c10 = c00;
  let c11 = c00;
  let c12 = c00;
  let c13 = c00;
  const end = a0 + bytesOf(k & ~3);
  for (; a0 < end; a0 += 16, a1 += 16, b0 += 16, b1 += 16, b2 += 16, b3 += 16) {
    const x0 = v128.load(a0);
    const x1 = v128.load(a1);
    let y = v128.load(b0);
    c00 = mad(c00, x0, y);
    c10 = mad(c10, x1, y);
    y = v128.load(b1);
    c01 = mad(c01, x0, y);
    c11 = mad(c11, x1, y);
    y = v128.load(b2);
    c02 = mad(c02, x0, y);
    c12 = mad(c12, x1, y);
    y = v128.load(b3);
    c03 = mad(c03, x0, y);
    c13 = mad(c13, x1, y);
  }
  const rest = k & 3;
  if (rest > 0) {
    const x0 = loadPart(a0, rest);
    const x1 = loadPart(a1, rest);
    let y = loadPart(b0, rest);
    c00 = mad(c00, x0, y);
    c10 = mad(c10, x1, y);
    y = loadPart(b1, rest);
    c01 = mad(c01, x0, y);
    c11 = mad(c11, x1, y);
    y = loadPart(b2, rest);
    c02 = mad(c02, x0, y);
    c12 = mad(c12, x1, y);
    y = loadPart(b3, rest);
    c03 = mad(c03, x0, y);
    c13 = mad(c13, x1, y);
  }
  const factor = f32x4.splat(scale);
  const row0 = sums(c00, c01, c02, c03);
  storeRow(c, row0, row0, columns, factor, add);
  if (rows > 1) {
    const row1 = sums(c10, c11, c12, c13);
    storeRow(c + cStep, row1, row1, columns, factor, add);
  }
}

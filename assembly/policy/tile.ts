/**
 * The inner kernel of every product. An element's terms are added one after the other, so that a result has the same bits
 * wherever tiles begin and whichever thread computes them.
 */
import { bytesOf, loadPart, mad, storePart } from './lanes';

/** c = scale · row, or c + scale · row, for the first `columns` of eight. */
export function storeRow(c: usize, left: v128, right: v128, columns: i32, scale: v128, add: bool): void {
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
 * c in rows `cStep` bytes apart.
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

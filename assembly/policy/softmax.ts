import { log } from '../math';
import { bytesOf, exp4, loadPart, max4, storePart } from './lanes';

/** Vectors whose f32 sum goes to the f64 sum at once: long rows lose nothing to rounding, and a row pays little. */
const SPAN: i32 = 16;

export function rowMax(row: usize, count: i32): f32 {
  let most = f32x4.splat(-Infinity);
  let i = 0;
  for (; i + 4 <= count; i += 4) most = f32x4.pmax(most, v128.load(row + bytesOf(i)));
  let result = max4(most);
  for (; i < count; i++) result = max(result, load<f32>(row + bytesOf(i)));
  return result;
}

// @ts-ignore: decorator
@inline function wide(sum: v128): v128 {
  return f64x2.add(f64x2.promote_low_f32x4(sum), f64x2.promote_low_f32x4(v128.shuffle<f32>(sum, sum, 2, 3, 2, 3)));
}

/** Σ exp(factor · (row[i] - shift)); the terms go to `to` unless that is 0. */
export function expSum(row: usize, count: i32, shift: f32, factor: f32, to: usize): f64 {
  const shifts = f32x4.splat(shift);
  const factors = f32x4.splat(factor);
  let total = f64x2.splat(0);
  let i = 0;
  while (i + 4 <= count) {
    let sum = f32x4.splat(0);
    for (const stop = min(i + 4 * SPAN, count & ~3); i < stop; i += 4) {
      const e = exp4(f32x4.mul(factors, f32x4.sub(v128.load(row + bytesOf(i)), shifts)));
      if (to) v128.store(to + bytesOf(i), e);
      sum = f32x4.add(sum, e);
    }
    total = f64x2.add(total, wide(sum));
  }
  let result = f64x2.extract_lane(total, 0) + f64x2.extract_lane(total, 1);
  const rest = count - i;
  if (rest > 0) {
    const e = exp4(f32x4.mul(factors, f32x4.sub(loadPart(row + bytesOf(i), rest), shifts)));
    if (to) storePart(to + bytesOf(i), e, rest);
    for (let lane = 0; lane < rest; lane++) {
      result += <f64>(lane == 0 ? f32x4.extract_lane(e, 0) : lane == 1 ? f32x4.extract_lane(e, 1) : f32x4.extract_lane(e, 2));
    }
  }
  return result;
}

/** log Σ exp of a row, given its maximum and Σ exp(row - maximum). */
export function logSum(most: f32, sum: f64): f32 {
  return <f32>(<f64>most + log(sum));
}

/** Replaces a row by its softmax, and by zeros from `count` to `width`; its log-sum-exp goes to `lse` unless that is 0. */
export function softmaxRow(row: usize, count: i32, width: i32, lse: usize): void {
  const most = rowMax(row, count);
  const sum = expSum(row, count, most, 1, row);
  const inverse = f32x4.splat(<f32>(1 / sum));
  for (let i = 0; i < count; i += 4) {
    const p = row + bytesOf(i);
    v128.store(p, f32x4.mul(v128.load(p), inverse));
  }
  if (width > count) memory.fill(row + bytesOf(count), 0, bytesOf(width - count));
  if (lse) store<f32>(lse, logSum(most, sum));
}

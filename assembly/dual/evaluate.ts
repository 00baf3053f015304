/** Value, gradient and Hessian of the dual in one pass over the scores, block of rows by block of rows. */
import { logAll } from '../math';
import { BLOCK, Scores } from './scores';
import { kept, plane, Scratch, safety, softmax, top, total } from './softmax';

/** f64 a block's sums take: value, gradient, lower triangle of the Hessian row by row. */
// @ts-ignore: decorator
@inline export function evaluationWidth(constraints: i32): i32 {
  return 1 + constraints + ((constraints * (constraints + 1)) >> 1);
}

/**
 * For each block from `firstBlock` to `endBlock` (not included), writes the sums over its rows of
 * β·log mean_k exp(s), E_p[g] and Cov_p[g] into f64[blocks][evaluationWidth], all for centred scores.
 */
export function evaluateBlocks(
  scores: Scores,
  scratch: Scratch,
  lambda: usize,
  beta: f64,
  firstBlock: i32,
  endBlock: i32,
  partial: usize,
): void {
  const m = scores.constraints;
  const size = (<usize>evaluationWidth(m)) << 3;
  for (let block = firstBlock; block < endBlock; block++) {
    const sums = partial + (<usize>block) * size;
    const firstRow = block * BLOCK;
    const endRow = min(firstRow + BLOCK, scores.prompts);
    memory.fill(sums, 0, size);
    let value = 0.0;
    for (let row = firstRow; row < endRow; row++) {
      const first = (<usize>load<u32>(scores.start + ((<usize>row) << 2))) << 3;
      softmax(scores, scratch, lambda, beta, first, load<i32>(scores.count + ((<usize>row) << 2)));
      store<f64>(scratch.total + ((<usize>(row - firstRow)) << 3), total);
      value += top;
      moments(scratch, m, sums + 8);
    }
    const rows = endRow - firstRow;
    logAll(scratch.total, rows);
    let entropy = 0.0;
    for (let i = 0; i < rows; i++) {
      entropy +=
        load<f64>(scratch.total + ((<usize>i) << 3)) - load<f64>(scores.logCount + ((<usize>(firstRow + i)) << 3));
    }
    store<f64>(sums, value + beta * entropy);
  }
}

/** Adds the mean and, after it, the covariance of the safety scores under the last softmax. */
function moments(scratch: Scratch, m: i32, sums: usize): void {
  const size = (<usize>kept) << 3;
  const weight = scratch.weight;
  const mean = scratch.mean;
  const inverse = 1.0 / total;
  for (let j = 0; j < m; j++) {
    const g = safety + (<usize>j) * plane;
    let sum = f64x2.splat(0.0);
    for (let i: usize = 0; i < size; i += 16) {
      sum = f64x2.add(sum, f64x2.mul(v128.load(weight + i), v128.load(g + i)));
    }
    const expected = (f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1)) * inverse;
    const to = (<usize>j) << 3;
    store<f64>(mean + to, expected);
    store<f64>(sums + to, load<f64>(sums + to) + expected);
  }
  let to = sums + ((<usize>m) << 3);
  for (let i = 0; i < m; i++) {
    const g = safety + (<usize>i) * plane;
    const product = scratch.product;
    const centre = v128.load64_splat(mean + ((<usize>i) << 3));
    for (let k: usize = 0; k < size; k += 16) {
      v128.store(product + k, f64x2.mul(v128.load(weight + k), f64x2.sub(v128.load(g + k), centre)));
    }
    for (let j = 0; j <= i; j++) {
      const other = safety + (<usize>j) * plane;
      const otherCentre = v128.load64_splat(mean + ((<usize>j) << 3));
      let sum = f64x2.splat(0.0);
      for (let k: usize = 0; k < size; k += 16) {
        sum = f64x2.add(sum, f64x2.mul(v128.load(product + k), f64x2.sub(v128.load(other + k), otherCentre)));
      }
      store<f64>(to, load<f64>(to) + (f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1)) * inverse);
      to += 8;
    }
  }
}

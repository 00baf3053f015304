/** What the policy at λ does on each prompt, and the support function that decides feasibility. */
import { log } from '../math';
import { get, set } from './box';
import { BLOCK, Scores } from './scores';
import { compact, exponentiate, kept, lanes, plane, reduce, safety, Scratch, top, total } from './softmax';

/**
 * f64 a row takes in `describeRows`: E_p[r], KL from the reference (uniform, or the weights), 1/Σp², then E_p[g_j], then
 * Cov_p[r, g_j].
 */
// @ts-ignore: decorator
@inline export function descriptionWidth(constraints: i32): i32 {
  return 3 + 2 * constraints;
}

/** Writes f64[endRow - firstRow][descriptionWidth] to `out`. */
export function describeRows(
  scores: Scores,
  scratch: Scratch,
  lambda: usize,
  beta: f64,
  firstRow: i32,
  endRow: i32,
  out: usize,
): void {
  for (let row = firstRow; row < endRow; row++) {
    const first = (<usize>load<u32>(scores.start + ((<usize>row) << 2))) << 3;
    reduce(scores, scratch, lambda, beta, first, load<i32>(scores.count + ((<usize>row) << 2)));
    exponentiate(scores, scratch, beta);
    describeRow(scores, scratch, lambda, beta, row, out);
    out += (<usize>descriptionWidth(scores.constraints)) << 3;
  }
}

/** Describes the row of the last softmax, at λ. */
export function describeRow(scores: Scores, scratch: Scratch, lambda: usize, beta: f64, row: i32, out: usize): void {
  const m = scores.constraints;
  const first = (<usize>load<u32>(scores.start + ((<usize>row) << 2))) << 3;
  const size = (<usize>kept) << 3;
  const weight = scratch.weight;
  const reward = compact ? gatherReward(scores, scratch, first) : scores.reward + first;
  // A pad has weight 0, which has to meet finite numbers.
  const least = f64x2.splat(-1e300);
  let rSum = f64x2.splat(0.0);
  let squares = rSum;
  for (let i: usize = 0; i < size; i += 16) {
    const w = v128.load(weight + i);
    const wr = f64x2.mul(w, f64x2.pmax(v128.load(reward + i), least));
    v128.store(scratch.product + i, wr);
    rSum = f64x2.add(rSum, wr);
    squares = f64x2.add(squares, f64x2.mul(w, w));
  }
  const inverse = 1.0 / total;
  const rMean = lanes(rSum) * inverse;
  let score = rMean;
  for (let j = 0; j < m; j++) {
    const g = safety + (<usize>j) * plane;
    let gSum = f64x2.splat(0.0);
    let rg = gSum;
    for (let i: usize = 0; i < size; i += 16) {
      const x = v128.load(g + i);
      gSum = f64x2.add(gSum, f64x2.mul(v128.load(weight + i), x));
      rg = f64x2.add(rg, f64x2.mul(v128.load(scratch.product + i), x));
    }
    const gMean = lanes(gSum) * inverse;
    score += get(lambda, j) * gMean;
    set(out, 3 + j, get(scores.middle, j * scores.prompts + row) + gMean);
    set(out, 3 + m + j, lanes(rg) * inverse - rMean * gMean);
  }
  // KL is the mean of log p, which is (r + λᵀg - top) / β - log total, from that of the reference.
  const logRatio = log(total) - get(scores.logCount, row);
  set(out, 0, get(scores.top, row) + rMean);
  set(out, 1, max(0.0, (score - top) / beta - logRatio));
  set(out, 2, (total * total) / lanes(squares));
}

function gatherReward(scores: Scores, scratch: Scratch, first: usize): usize {
  const from = scores.reward + first;
  for (let i = 0; i < kept; i++) set(scratch.exponent, i, get(from, load<i32>(scratch.index + ((<usize>i) << 2))));
  return scratch.exponent;
}

/** For each block from `firstBlock` to `endBlock` (not included) the sum over its rows of max_k uᵀg, centred scores. */
export function supportBlocks(scores: Scores, direction: usize, firstBlock: i32, endBlock: i32, partial: usize): void {
  const m = scores.constraints;
  for (let block = firstBlock; block < endBlock; block++) {
    const endRow = min((block + 1) * BLOCK, scores.prompts);
    let sum = 0.0;
    for (let row = block * BLOCK; row < endRow; row++) {
      const first = (<usize>load<u32>(scores.start + ((<usize>row) << 2))) << 3;
      const count = load<i32>(scores.count + ((<usize>row) << 2));
      let most = -Infinity;
      for (let k = 0; k < count; k++) {
        let value = 0.0;
        for (let j = 0; j < m; j++) {
          value += get(direction, j) * load<f64>(scores.safety + (<usize>j) * scores.plane + first + ((<usize>k) << 3));
        }
        most = max(most, value);
      }
      sum += most;
    }
    set(partial, block, sum);
  }
}

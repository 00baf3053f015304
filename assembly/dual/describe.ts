/** What the policy at λ does on each prompt, and the support function that decides feasibility. */
import { log } from '../math';
import { get, set } from './box';
import { lanes } from './evaluate';
import { BLOCK, Scores } from './scores';
import { compact, CUTOFF, exponentiate, kept, plane, reduce, safety, Scratch, top, total } from './softmax';

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
    exponentiate(scratch, beta);
    describeRow(scores, scratch, beta, row, out);
    out += (<usize>descriptionWidth(scores.constraints)) << 3;
  }
}

/** Describes the row of the last softmax. */
export function describeRow(scores: Scores, scratch: Scratch, beta: f64, row: i32, out: usize): void {
  const first = (<usize>load<u32>(scores.start + ((<usize>row) << 2))) << 3;
  const size = (<usize>kept) << 3;
  const weight = scratch.weight;
  const reward = compact ? gatherReward(scores, scratch, first) : scores.reward + first;
  const values = compact ? scratch.exponent : scratch.score;
  const shift = f64x2.splat(compact ? 0.0 : top);
  const scale = f64x2.splat(compact ? 1.0 : 1.0 / beta);
  // A pad has weight 0, which has to meet finite numbers.
  const leastReward = f64x2.splat(-1e300);
  const leastExponent = f64x2.splat(-CUTOFF);
  let rewards = f64x2.splat(0.0);
  let exponents = rewards;
  let squares = rewards;
  for (let i: usize = 0; i < size; i += 16) {
    const e = v128.load(weight + i);
    const x = f64x2.mul(f64x2.sub(v128.load(values + i), shift), scale);
    rewards = f64x2.add(rewards, f64x2.mul(e, f64x2.pmax(v128.load(reward + i), leastReward)));
    exponents = f64x2.add(exponents, f64x2.mul(e, f64x2.pmax(x, leastExponent)));
    squares = f64x2.add(squares, f64x2.mul(e, e));
  }
  const inverse = 1.0 / total;
  const logRatio = log(total) - get(scores.logCount, row);
  set(out, 0, get(scores.top, row) + lanes(rewards) * inverse);
  const logWeights = scores.logWeight == 0 ? 0.0 : sumLogWeights(scores.logWeight + first, scratch);
  set(out, 1, max(0.0, (lanes(exponents) - logWeights) * inverse - logRatio));
  set(out, 2, (total * total) / lanes(squares));
  for (let j = 0; j < scores.constraints; j++) {
    const g = safety + (<usize>j) * plane;
    let sum = f64x2.splat(0.0);
    for (let i: usize = 0; i < size; i += 16) {
      sum = f64x2.add(sum, f64x2.mul(v128.load(weight + i), v128.load(g + i)));
    }
    set(out, 3 + j, get(scores.middle, j * scores.prompts + row) + lanes(sum) * inverse);
  }
  const mean = f64x2.splat(lanes(rewards) * inverse);
  for (let j = 0; j < scores.constraints; j++) {
    const g = safety + (<usize>j) * plane;
    let sum = f64x2.splat(0.0);
    for (let i: usize = 0; i < size; i += 16) {
      const off = f64x2.sub(f64x2.pmax(v128.load(reward + i), leastReward), mean);
      sum = f64x2.add(sum, f64x2.mul(f64x2.mul(v128.load(weight + i), off), v128.load(g + i)));
    }
    set(out, 3 + scores.constraints + j, lanes(sum) * inverse);
  }
}

/** Σ_k p·log weight, times the total: what the exponents hold that is the reference's own. */
function sumLogWeights(logWeight: usize, scratch: Scratch): f64 {
  let sum = 0.0;
  for (let i = 0; i < kept; i++) {
    const k = compact ? load<i32>(scratch.index + ((<usize>i) << 2)) : i;
    sum += get(scratch.weight, i) * get(logWeight, k);
  }
  return sum;
}

function gatherReward(scores: Scores, scratch: Scratch, first: usize): usize {
  const from = scores.reward + first;
  for (let i = 0; i < kept; i++) set(scratch.product, i, get(from, load<i32>(scratch.index + ((<usize>i) << 2))));
  return scratch.product;
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

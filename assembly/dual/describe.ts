/** What the policy at λ does on each prompt, and the support function that decides feasibility. */
import { log } from '../math';
import { get, set } from './box';
import { BLOCK, Scores } from './scores';
import { compact, kept, plane, Scratch, safety, softmax, top, total } from './softmax';

/** f64 a row takes in `describeRows`: β·log mean exp, E_p[r], KL(p‖uniform), 1/Σp², then E_p[g_j]. */
// @ts-ignore: decorator
@inline export function descriptionWidth(constraints: i32): i32 {
  return 4 + constraints;
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
  const m = scores.constraints;
  for (let row = firstRow; row < endRow; row++) {
    const first = (<usize>load<u32>(scores.start + ((<usize>row) << 2))) << 3;
    const count = load<i32>(scores.count + ((<usize>row) << 2));
    softmax(scores, scratch, lambda, beta, first, count);
    const inverse = 1.0 / total;
    const logTotal = log(total);
    const logCount = get(scores.logCount, row);
    let reward = 0.0;
    let exponent = 0.0;
    let squares = 0.0;
    for (let i = 0; i < kept; i++) {
      const weight = get(scratch.weight, i);
      if (weight == 0.0) continue;
      const k = compact ? load<i32>(scratch.index + ((<usize>i) << 2)) : i;
      reward += weight * get(scores.reward + first, k);
      exponent += weight * ((get(scratch.score, k) - top) / beta);
      squares += weight * weight;
    }
    const rewardTop = get(scores.top, row);
    set(out, 0, rewardTop + top + beta * (logTotal - logCount));
    set(out, 1, rewardTop + reward * inverse);
    set(out, 2, max(0.0, exponent * inverse - logTotal + logCount));
    set(out, 3, (total * total) / squares);
    for (let j = 0; j < m; j++) {
      const g = safety + (<usize>j) * plane;
      let sum = 0.0;
      for (let i = 0; i < kept; i++) sum += get(scratch.weight, i) * get(g, i);
      set(out, 4 + j, get(scores.middle, j * scores.prompts + row) + sum * inverse);
    }
    out += (<usize>descriptionWidth(m)) << 3;
  }
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

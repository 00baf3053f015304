import type { Kernels } from '../wasm.ts';
import { type DualProblem, withoutAbsent } from './problem.ts';

/** One prompt's responses, read where a reckoning needs each of them and not their sums alone. */
export interface Row {
  /** K of this prompt; the arrays may be longer. */
  readonly count: number;
  /** [K]: the policy at the λ asked for. */
  readonly policy: Float64Array;
  /** [m][K]. */
  readonly safety: readonly Float64Array[];
  /** Mean of each safety score over the reference. */
  readonly reference: readonly number[];
}

/** Calls `use` with each prompt in turn and the policy ∝ π_ref·exp((r + λᵀg)/β) on it; the arrays are used again. */
export function forRows(
  { exp, log }: Kernels,
  problem: DualProblem,
  lambda: readonly number[],
  use: (row: Row, prompt: number) => void,
): void {
  const { reward, safety, prompts, weights, responses } = withoutAbsent(problem);
  const { beta } = problem;
  const most = typeof responses === 'number' ? responses : responses.reduce((a, b) => Math.max(a, b), 0);
  const policy = new Float64Array(most);
  const columns = lambda.map(() => new Float64Array(most));
  const reference = lambda.map(() => 0);
  let at = 0;
  for (let n = 0; n < prompts; n++) {
    const count = typeof responses === 'number' ? responses : responses[n];
    let top = Number.NEGATIVE_INFINITY;
    let mass = 0;
    reference.fill(0);
    for (let k = 0; k < count; k++) {
      const weight = weights ? weights[at + k] : 1;
      let score = reward[at + k];
      for (let j = 0; j < lambda.length; j++) {
        const g = safety[j * reward.length + at + k];
        columns[j][k] = g;
        reference[j] += weight * g;
        score += lambda[j] * g;
      }
      mass += weight;
      policy[k] = score / beta + (weights ? log(weight) : 0);
      top = Math.max(top, policy[k]);
    }
    let total = 0;
    for (let k = 0; k < count; k++) total += policy[k] = exp(policy[k] - top);
    for (let k = 0; k < count; k++) policy[k] /= total;
    for (let j = 0; j < lambda.length; j++) reference[j] /= mass;
    use({ count, policy, safety: columns, reference }, n);
    at += count;
  }
}

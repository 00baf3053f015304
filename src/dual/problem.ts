import { UserError } from '../errors.ts';

/** Scores of N prompts × K responses drawn from the reference policy. Rows of one prompt stand together. */
export interface ScoreTable {
  /** `[N·K]`, or the rows' responses one after another. */
  readonly reward: Float64Array | Float32Array;
  /** `[m·N·K]`: all of the first safety score, then all of the second; higher is safer. */
  readonly safety: Float64Array | Float32Array;
  /** N. */
  readonly prompts: number;
  /** K, or the number of responses of each prompt. */
  readonly responses: number | Uint32Array;
}

/** max_π E[r] − β·KL(π‖π_ref) subject to E_π[g_j] ≥ thresholds[j]. */
export interface DualProblem extends ScoreTable {
  readonly beta: number;
  /** `[m]`, absolute. `thresholdsOf` turns margins over the reference mean into these. */
  readonly thresholds: readonly number[];
  /**
   * `[m]`: whether each threshold is a margin over the mean of these very samples, whose own sampling error then counts in
   * intervals. All false if left out.
   */
  readonly relative?: readonly boolean[];
}

/** A lower bound on E[g]: absolute, or over the mean of the reference samples. */
export type Limit = { readonly threshold: number } | { readonly margin: number };

/** Larger scores could overflow when squared and summed (assembly/dual/load.ts). */
const LARGEST = 1e100;
const SMALLEST_BETA = 1e-12;
const LARGEST_BETA = 1e12;

export function responsesOf(table: ScoreTable, prompt: number): number {
  return typeof table.responses === 'number' ? table.responses : table.responses[prompt];
}

/** m. */
export function constraintsOf(table: ScoreTable): number {
  return table.reward.length === 0 ? 0 : table.safety.length / table.reward.length;
}

/** Throws a UserError unless the sizes agree; the scores themselves are checked as they are loaded. */
export function checkTable(table: ScoreTable): void {
  const { prompts, responses, reward, safety } = table;
  if (!Number.isSafeInteger(prompts) || prompts < 1) {
    throw new UserError(`scores: expected at least one prompt, got ${prompts}`);
  }
  let total = 0;
  if (typeof responses === 'number') {
    if (!Number.isSafeInteger(responses) || responses < 1) {
      throw new UserError(`scores: expected at least one response a prompt, got ${responses}`);
    }
    total = prompts * responses;
  } else {
    if (responses.length !== prompts) {
      throw new UserError(
        `scores: expected the number of responses of ${prompts} prompts, got ${responses.length} numbers`,
      );
    }
    for (let n = 0; n < prompts; n++) {
      if (responses[n] < 1) throw new UserError(`scores: prompt ${n + 1} has no response`);
      total += responses[n];
    }
  }
  if (reward.length !== total) {
    throw new UserError(`scores: expected ${total} rewards for ${prompts} prompts, got ${reward.length}`);
  }
  if (safety.length === 0 || safety.length % total !== 0) {
    throw new UserError(
      `scores: expected m × ${total} safety scores for ${total} rewards, with m of 1 or more; got ${safety.length}`,
    );
  }
}

/** The error that names the first score that is not a finite number of reasonable size, in a table that has one. */
export function badScore(table: ScoreTable): UserError {
  const total = table.reward.length;
  // Written so that NaN counts as bad.
  const bad = (value: number) => !(value >= -LARGEST && value <= LARGEST);
  const inReward = table.reward.findIndex(bad);
  const at = inReward >= 0 ? inReward : table.safety.findIndex(bad);
  const which = inReward >= 0 ? 'reward' : `safety score ${Math.floor(at / total) + 1}`;
  const value = inReward >= 0 ? table.reward[at] : table.safety[at];
  let response = at % total;
  let prompt = 0;
  while (response >= responsesOf(table, prompt)) response -= responsesOf(table, prompt++);
  return new UserError(
    `scores: expected finite numbers of at most ${LARGEST} in size, got ${value} as ${which} of ` +
      `response ${response + 1} to prompt ${prompt + 1}; drop or rescore that response`,
  );
}

export function checkBeta(beta: number): void {
  if (!(beta >= SMALLEST_BETA && beta <= LARGEST_BETA)) {
    throw new UserError(
      `beta: expected a number from ${SMALLEST_BETA} to ${LARGEST_BETA}, the weight of the KL divergence; got ${beta}`,
    );
  }
}

export function checkProblem(problem: DualProblem): void {
  checkTable(problem);
  checkBeta(problem.beta);
  const constraints = constraintsOf(problem);
  if (problem.thresholds.length !== constraints) {
    throw new UserError(
      `thresholds: expected one for each of the ${constraints} safety scores, got ${problem.thresholds.length}`,
    );
  }
  for (const [j, threshold] of problem.thresholds.entries()) {
    if (!(Math.abs(threshold) <= LARGEST)) {
      throw new UserError(
        `threshold ${j + 1}: expected a finite number of at most ${LARGEST} in size, got ${threshold}`,
      );
    }
  }
}

/** Throws unless λ is m finite numbers from 0 up. */
export function checkLambda(lambda: readonly number[], constraints: number): void {
  if (lambda.length !== constraints) {
    throw new UserError(
      `lambda: expected one for each of the ${constraints} safety scores, got ${lambda.length}`,
    );
  }
  for (const value of lambda) {
    if (!(value >= 0 && value <= LARGEST)) {
      throw new UserError(`lambda: expected finite numbers from 0 up, got ${value}`);
    }
  }
}

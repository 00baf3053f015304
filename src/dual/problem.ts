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
  /**
   * As many as rewards: importance weights w_k of the responses, for samples that were not drawn from the reference
   * policy itself: w_k = π_ref(y_k) / (the probability it was drawn with). Each mean over a prompt's responses becomes
   * Σ_k w_k·(…) / Σ_k w_k: the reference policy is w_k / Σ w, the dual is β·mean_n log Σ_k w_k·exp(s_k) / Σ_k w_k, and KL
   * counts from there. Only their ratios within a prompt matter. From 1e-150 to 1e150, or 0: such a response is absent.
   * All 1 if left out.
   */
  readonly weights?: Float64Array | Float32Array;
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

/**
 * A table too large to hold, as a reader of files or network bodies gives it: each call starts a new pass over the same
 * prompts in the same order, in chunks of any sizes. A chunk is a table of its own, of some consecutive prompts with all
 * their responses; all chunks have the same number of safety scores, and all or none have weights. A chunk's arrays may
 * be overwritten once the next one is asked for.
 */
export type ScoreSource = () => AsyncIterable<ScoreTable> | Iterable<ScoreTable>;

/** A lower bound on E[g]: absolute, or over the mean of the reference samples. */
export type Limit = { readonly threshold: number } | { readonly margin: number };

/** Larger scores could overflow when squared and summed (assembly/dual/load.ts). */
const LARGEST = 1e100;
const LARGEST_WEIGHT = 1e150;
const LEAST_WEIGHT = 1e-150;
const SMALLEST_BETA = 1e-12;
const LARGEST_BETA = 1e12;

export function responsesOf(table: ScoreTable, prompt: number): number {
  return typeof table.responses === 'number' ? table.responses : table.responses[prompt];
}

/** m. */
export function constraintsOf(table: ScoreTable): number {
  return table.reward.length === 0 ? 0 : table.safety.length / table.reward.length;
}

/** Responses of all prompts. */
export function totalOf({ prompts, responses }: Pick<ScoreTable, 'prompts' | 'responses'>): number {
  return typeof responses === 'number'
    ? prompts * responses
    : responses.reduce((sum, count) => sum + count, 0);
}

/** Throws a UserError unless the sizes agree; the scores themselves are checked as they are loaded. */
export function checkTable(table: ScoreTable): void {
  const { prompts, responses, reward, safety, weights } = table;
  if (!Number.isSafeInteger(prompts) || prompts < 1) {
    throw new UserError(`scores: expected at least one prompt, got ${prompts}`);
  }
  if (typeof responses === 'number') {
    if (!Number.isSafeInteger(responses) || responses < 1) {
      throw new UserError(`scores: expected at least one response a prompt, got ${responses}`);
    }
  } else {
    if (responses.length !== prompts) {
      throw new UserError(
        `scores: expected the number of responses of ${prompts} prompts, got ${responses.length} numbers`,
      );
    }
    for (let n = 0; n < prompts; n++) {
      if (responses[n] < 1) throw new UserError(`scores: prompt ${n + 1} has no response`);
    }
  }
  const total = totalOf(table);
  if (reward.length !== total) {
    throw new UserError(`scores: expected ${total} rewards for ${prompts} prompts, got ${reward.length}`);
  }
  if (safety.length === 0 || safety.length % total !== 0) {
    throw new UserError(
      `scores: expected m × ${total} safety scores for ${total} rewards, with m of 1 or more; got ${safety.length}`,
    );
  }
  if (weights && weights.length !== total) {
    throw new UserError(`scores: expected as many weights as rewards, ${total}, got ${weights.length}`);
  }
}

/** The table without its responses of weight 0; throws a UserError where a prompt has no other; `before` prompts stand before it. */
export function withoutAbsent(table: ScoreTable, before = 0): ScoreTable {
  const { reward, safety, prompts, weights } = table;
  if (!weights?.includes(0)) return table;
  const total = reward.length;
  const responses = new Uint32Array(prompts);
  const present = new Uint32Array(total);
  let at = 0;
  let size = 0;
  for (let n = 0; n < prompts; n++) {
    for (const end = at + responsesOf(table, n); at < end; at++) {
      if (weights[at] === 0) continue;
      present[size++] = at;
      responses[n]++;
    }
    if (responses[n] === 0) {
      throw new UserError(
        `scores: expected a response of positive weight to each prompt, found none to prompt ${before + n + 1}; drop that prompt`,
      );
    }
  }
  const take = (values: Float64Array | Float32Array, planes: number) => {
    const out =
      values instanceof Float32Array ? new Float32Array(planes * size) : new Float64Array(planes * size);
    for (let j = 0; j < planes; j++)
      for (let i = 0; i < size; i++) out[j * size + i] = values[j * total + present[i]];
    return out;
  };
  return {
    prompts,
    responses,
    reward: take(reward, 1),
    safety: take(safety, constraintsOf(table)),
    weights: take(weights, 1),
  };
}

/** The error that names the first score or weight that is out of bounds, in a table that has one and stands after `before` prompts. */
export function badScore(table: ScoreTable, before: number): UserError {
  const total = table.reward.length;
  // Written so that NaN counts as bad.
  const badWeight = (value: number) => !(value === 0 || (value >= LEAST_WEIGHT && value <= LARGEST_WEIGHT));
  const inWeights = table.weights?.findIndex(badWeight) ?? -1;
  if (inWeights >= 0) {
    return new UserError(
      `scores: expected weights from ${LEAST_WEIGHT} to ${LARGEST_WEIGHT}, or 0 for a response to leave out, ` +
        `got ${table.weights?.[inWeights]} of ${placeOf(table, before, inWeights)}`,
    );
  }
  const bad = (value: number, i: number) =>
    !(value >= -LARGEST && value <= LARGEST) && table.weights?.[i % total] !== 0;
  const inReward = table.reward.findIndex(bad);
  const at = inReward >= 0 ? inReward : table.safety.findIndex(bad);
  const which = inReward >= 0 ? 'reward' : `safety score ${Math.floor(at / total) + 1}`;
  const value = inReward >= 0 ? table.reward[at] : table.safety[at];
  return new UserError(
    `scores: expected finite numbers of at most ${LARGEST} in size, got ${value} as ${which} of ` +
      `${placeOf(table, before, at % total)}; drop or rescore that response`,
  );
}

function placeOf(table: ScoreTable, before: number, response: number): string {
  let left = response;
  let prompt = 0;
  while (left >= responsesOf(table, prompt)) left -= responsesOf(table, prompt++);
  return `response ${left + 1} to prompt ${before + prompt + 1}`;
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

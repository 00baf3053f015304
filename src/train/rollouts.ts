import { UserError } from '../errors.ts';
import { type Generation, generate, responseText } from '../model/generate.ts';
import type { Completion } from '../model/head.ts';
import { completionTokenLogps } from '../model/logps.ts';
import type { Policy } from '../model/policy.ts';
import { Workspace } from '../model/workspace.ts';
import { keyOf, Random } from '../random.ts';
import { deviation, mean } from './advantages.ts';
import type { Cycle, OnPolicyConfig } from './on_policy_config.ts';
import { stepIndices } from './order.ts';

/** A completion that the policy drew, to be scored. */
export interface Drawn {
  /** Index of its prompt. */
  readonly prompt: number;
  readonly text: string;
  readonly promptIds: readonly number[];
  readonly completionIds: readonly number[];
  /** Ended by the policy, not cut at max_completion_length. */
  readonly finished: boolean;
}

/** What completions are worth: Σ weights · scores, as r + λᵀg. */
export interface RewardFunctions {
  readonly names: readonly string[];
  readonly weights: readonly number[];
  /** Of each row its scores, in the order of the names; `reference` is the policy as it was, where beta keeps it. */
  score(rows: readonly Drawn[], reference?: Policy): Promise<readonly (readonly number[])[]>;
}

/** A scored completion with what its loss needs. */
export interface Rollout extends Drawn {
  readonly scores: readonly number[];
  readonly reward: number;
  /** False where its tokens are masked: it teaches nothing. */
  readonly counts: boolean;
  /** log π of each token when it was drawn; empty where the loss needs none. */
  readonly oldLogps: Float32Array;
  /** The same of the reference; empty where beta is 0. */
  readonly refLogps: Float32Array;
}

/** Metrics of what a step learns from, in TRL's names; means over all that was drawn with it. */
export type RolloutMetrics = Readonly<Record<string, number>>;

/** Draws the completions of generation 0, 1, … and has them scored. */
export class Sampler {
  #policy: Policy;
  #reference: Policy | undefined;
  #prompts: readonly (readonly number[])[];
  #rewards: RewardFunctions;
  #config: OnPolicyConfig;
  #cycle: Cycle;
  #needsOld: boolean;

  /** Without a reference there are no log-probs of it. */
  constructor(
    policy: Policy,
    reference: Policy | undefined,
    prompts: readonly (readonly number[])[],
    rewards: RewardFunctions,
    config: OnPolicyConfig,
    cycle: Cycle,
    needsOld: boolean,
  ) {
    this.#policy = policy;
    this.#reference = reference;
    this.#prompts = prompts;
    this.#rewards = rewards;
    this.#config = config;
    this.#cycle = cycle;
    this.#needsOld = needsOld;
  }

  /** The rollouts of one generation, those of a prompt together. */
  async draw(index: number, signal?: AbortSignal): Promise<Rollout[]> {
    const { mask_truncated_completions, temperature } = this.#config;
    const { drawn, generated } = await this.#sample(index, signal);
    const scores = await this.#rewards.score(drawn, this.#reference);
    const completions: Completion[] = drawn;
    const old = this.#needsOld ? await this.#drawnLogps(completions, generated, signal) : undefined;
    const own = new Workspace(this.#policy.engine);
    const reference =
      this.#reference &&
      (await completionTokenLogps({ ...this.#reference, workspace: own }, completions, {
        temperature,
        signal,
      }));
    own.free();
    return drawn.map((row, i) => ({
      ...row,
      scores: scores[i],
      reward: this.#reward(scores[i]),
      counts: row.finished || !mask_truncated_completions,
      oldLogps: old?.[i] ?? new Float32Array(),
      refLogps: reference?.[i] ?? new Float32Array(),
    }));
  }

  async #sample(index: number, signal?: AbortSignal): Promise<{ drawn: Drawn[]; generated: Generation[] }> {
    const policy = this.#policy;
    const prompts = this.#prompts;
    const { seed, num_generations } = this.#config;
    const { prompts: count } = this.#cycle;
    const order = { seed, groups: prompts.map((_, prompt) => [prompt]) };
    const chosen = stepIndices(order, index, Math.floor(prompts.length / count), count);
    const rows = chosen.flatMap((prompt, slot) =>
      Array.from({ length: num_generations }, (_, k) => ({
        prompt,
        ids: prompts[prompt],
        stream: [index * count + slot, k] as const,
      })),
    );
    const { max_completion_length, temperature, top_k, top_p, repetition_penalty, stop } = this.#config;
    // What training held, sampling may need, and the other way round.
    policy.workspace.free();
    const drawing = { ...policy, workspace: new Workspace(policy.engine) };
    const generated = await generate(drawing, rows, {
      maxNewTokens: max_completion_length,
      temperature,
      topK: top_k,
      topP: top_p,
      repetitionPenalty: repetition_penalty,
      stop,
      key: keyOf(seed, 'rollouts'),
      batchSize: this.#config.generation_batch_size,
      signal,
    });
    drawing.workspace.free();
    const drawn = rows.map(({ prompt, ids }, i) => ({
      prompt,
      text: responseText(policy, ids, generated[i]),
      promptIds: ids,
      completionIds: generated[i].ids,
      finished: generated[i].finished,
    }));
    return { drawn, generated };
  }

  /** log π of what was drawn: known from the drawing, but where top-k, top-p or a penalty took its place. */
  async #drawnLogps(
    completions: readonly Completion[],
    generated: readonly Generation[],
    signal?: AbortSignal,
  ) {
    const { temperature, top_k, top_p, repetition_penalty } = this.#config;
    if (temperature === 1) return generated.map(({ logps }) => logps);
    if (top_k === 0 && top_p === 1 && repetition_penalty === 1) {
      return generated.map(({ samplingLogps }) => samplingLogps);
    }
    const own = new Workspace(this.#policy.engine);
    const logps = await completionTokenLogps({ ...this.#policy, workspace: own }, completions, {
      temperature,
      signal,
    });
    own.free();
    return logps;
  }

  #reward(scores: readonly number[]): number {
    const { names, weights } = this.#rewards;
    if (scores.length !== names.length || !scores.every(Number.isFinite)) {
      throw new UserError(`training: expected finite scores ${names.join(', ')}, got ${scores.join(', ')}`);
    }
    return scores.reduce((sum, score, j) => sum + weights[j] * score, 0);
  }
}

/** Micro-batches of a generation: a random part each, as in TRL. */
export function slicesOf<T>(rows: readonly T[], slices: number, seed: number, index: number): T[][] {
  const order = new Random(keyOf(seed, 'slices'), index).shuffle([...rows]);
  const size = rows.length / slices;
  return Array.from({ length: slices }, (_, i) => order.slice(i * size, (i + 1) * size));
}

export function rolloutMetrics(
  rollouts: readonly Rollout[],
  names: readonly string[],
  fracZeroStd: number,
): RolloutMetrics {
  const rewards = rollouts.map(({ reward }) => reward);
  const lengths = (rows: readonly Rollout[]) =>
    rows.length > 0 ? rows.map(({ completionIds }) => completionIds.length) : [0];
  const all = lengths(rollouts);
  const ended = lengths(rollouts.filter(({ finished }) => finished));
  const parts = names.flatMap((name, j) => {
    const scores = rollouts.map((row) => row.scores[j]);
    return [
      [`rewards/${name}/mean`, mean(scores)],
      [`rewards/${name}/std`, deviation(scores)],
    ];
  });
  return {
    reward: mean(rewards),
    reward_std: deviation(rewards),
    frac_reward_zero_std: fracZeroStd,
    ...Object.fromEntries(parts),
    'completions/mean_length': mean(all),
    'completions/min_length': Math.min(...all),
    'completions/max_length': Math.max(...all),
    'completions/clipped_ratio': rollouts.filter(({ finished }) => !finished).length / rollouts.length,
    'completions/mean_terminated_length': mean(ended),
    'completions/min_terminated_length': Math.min(...ended),
    'completions/max_terminated_length': Math.max(...ended),
  };
}

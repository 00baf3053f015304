import { sha256 } from '../data/hash.ts';
import { parseJsonl } from '../data/jsonl.ts';
import type { Prompt } from '../data/messages.ts';
import { UserError } from '../errors.ts';
import type { Policy, PolicyOutline } from '../model/policy.ts';
import { Workspace } from '../model/workspace.ts';
import type { FittedTraining } from '../train/fit.ts';
import { fitRollouts } from '../train/fit_rollouts.ts';
import { fitSampling } from '../train/memory_plan.ts';
import { type OnPolicyHooks, type OnPolicyMetrics, trainGrpo, trainRloo } from '../train/on_policy.ts';
import {
  cycleOf,
  GRPO_DEFAULTS,
  type GrpoConfig,
  type OnPolicyConfig,
  RLOO_DEFAULTS,
  type RlooConfig,
} from '../train/on_policy_config.ts';
import type { RewardFunctions } from '../train/rollouts.ts';
import type { Trainable } from '../train/trainable.ts';
import { METRICS } from './artefacts.ts';
import { mean } from './bootstrap.ts';
import { grpoLoss, need, needFor, type RunConfig } from './config.ts';
import type { Context, ModelContext } from './context.ts';
import { encodePrompt } from './encode.ts';
import { earlierBatches, roomOf, saySmaller, spaceFor } from './fitting.ts';
import { checkWhole, type Product, productOf } from './products.ts';
import { loadScorers, type ScoreRows, scorerSettings } from './score.ts';
import { readPrompts } from './split.ts';
import { readArtefact } from './stage.ts';
import { trainSettings } from './train_settings.ts';
import { runTrainingStage } from './training_stage.ts';

export type OnPolicyTrainer = 'grpo' | 'rloo';

export interface OnPolicyTarget {
  /** Of the stage. */
  readonly name: string;
  readonly trainer: OnPolicyTrainer;
  readonly prompts: readonly Prompt[];
  /** One per constraint. */
  readonly lambda: readonly number[];
  readonly beta: number;
  readonly product: Product;
}

/** Policy gradients on r + λᵀg, KL to the reference weighed by β, on completions that the policy draws as it learns. */
export async function trainOnPolicy(context: Context, target: OnPolicyTarget): Promise<void> {
  const { config, sources, progress } = context;
  const { policy: path } = need(config, 'policy', 'reward');
  const { name, trainer, prompts, lambda, beta, product } = target;
  refusePairSettings(trainer, config);
  const source = sources.policy(path);
  const outline = await sources.outline(path);
  const ids = prompts.map((prompt) => encodePrompt(outline, prompt));
  const fitting = await fitCompletions(context, target, outline, ids);
  const method = methodOf(trainer, fitting.config, prompts.length, beta);
  const { total } = cycleOf(method.filled, prompts.length);
  if (trainer === 'grpo' && config.scale_rewards !== 'none') {
    progress.say(
      '  With scaled rewards β is no longer the weight of the KL divergence that λ was solved for.',
    );
  }
  await runTrainingStage<OnPolicyMetrics>(context, {
    name,
    file: (file) => file,
    product,
    settings: {
      policy: await source.hash(),
      device: await sources.engine(),
      prompts: await sha256(JSON.stringify(prompts)),
      ...(await scorerSettings(context)),
      trainer,
      lambda,
      ...method.settings,
    },
    note: `${trainer} on ${prompts.length} prompts, ${config.num_generations} completions each${fitting.note}`,
    prepare: async () => {
      const { headLimits, gradient_checkpointing, capacities, generation_batch_size } = await fitting.fit(
        method.filled,
      );
      const policy = await product.load();
      const rewards = rewardFunctions(await loadScorers(context), prompts, lambda);
      const fitted = { gradient_checkpointing, generation_batch_size };
      policy.workspace.free();
      const workspace = new Workspace(policy.engine, capacities);
      return {
        policy,
        total,
        train: async (hooks, trainable) => {
          await method.train({ ...policy, headLimits, workspace }, ids, rewards, fitted, hooks, trainable);
          workspace.free();
        },
        told: ({ reward, kl }) => `reward ${reward.toFixed(3)}, KL ${kl.toFixed(4)} a token`,
      };
    },
  });
}

/** Settings of trainings on pairs change nothing here. */
function refusePairSettings(trainer: OnPolicyTrainer, config: RunConfig): void {
  const set = [
    ...(config.group_by_length ? ['--group-by-length true'] : []),
    ...(config.label_smoothing > 0 ? [`--label-smoothing ${config.label_smoothing}`] : []),
    ...(trainer === 'rloo' && config.loss_type !== undefined ? [`--loss-type ${config.loss_type}`] : []),
  ];
  if (set.length === 0) return;
  throw new UserError(
    `${trainer}: expected settings that it has, got ${set.join(', ')}, which it does not; leave them out`,
  );
}

/** How completions are drawn and learnt from in the memory there is. */
interface FittedCompletions {
  /** What it comes to hold. */
  readonly note: string;
  readonly config: RunConfig;
  fit(settings: OnPolicyConfig): Promise<FittedTraining & { readonly generation_batch_size: number }>;
}

/**
 * The run's settings with batches of completions that fit the memory there is, or that the training was begun with, and how
 * to hold them.
 */
async function fitCompletions(
  { run, config, sources, progress }: Context,
  { name, trainer, prompts, beta, product }: OnPolicyTarget,
  outline: PolicyOutline,
  ids: readonly (readonly number[])[],
): Promise<FittedCompletions> {
  const { filled } = methodOf(trainer, config, prompts.length, beta);
  const sizes = {
    promptTokens: longestOf(ids),
    newTokens: filled.max_completion_length,
    responses: filled.num_generations,
    repetitionPenalty: filled.repetition_penalty,
    beta,
  };
  const space = async () => spaceFor(await roomOf({ config, sources }), outline, product.lora);
  const sampling = async (settings: OnPolicyConfig) => {
    const slices = settings.steps_per_generation || settings.gradient_accumulation_steps;
    const asked = Math.min(config.generation_batch_size, settings.per_device_train_batch_size * slices);
    return { asked, ...(await fitSampling(await space(), { ...sizes, asked }, { reference: beta > 0 })) };
  };
  const known = earlierBatches(run.earlier(name), filled);
  const finished = await run.isFinished(product.outputs);
  // The mean over a batch's tokens hangs on the batch.
  const fixed = trainer === 'grpo' && config.loss_type === 'bnpo';
  const planned = known || finished ? undefined : await fitRollouts(await space(), sizes, filled, fixed);
  const batches = planned ?? known ?? filled;
  const most = planned && Math.max(planned.bytes, (await sampling(filled)).bytes);
  saySmaller(progress, 'completion', filled, batches);
  const { per_device_train_batch_size, gradient_accumulation_steps } = batches;
  const parts = filled.per_device_train_batch_size / per_device_train_batch_size;
  const { steps_per_generation: steps } = config;
  return {
    note: most === undefined ? '' : `, ${Math.ceil(most / 2 ** 20)} MiB`,
    config: {
      ...config,
      per_device_train_batch_size,
      gradient_accumulation_steps,
      ...(steps === undefined ? {} : { steps_per_generation: steps * parts }),
    },
    fit: async (settings) => {
      const fitted = await fitRollouts(await space(), sizes, { ...filled, ...batches }, true);
      if (fitted.gradient_checkpointing && !filled.gradient_checkpointing) {
        progress.say('memory: blocks are computed again in the backward pass, to make room');
      }
      const { asked, batch } = await sampling(settings);
      if (batch < asked) progress.say(`memory: room to sample ${batch} at once, not ${asked}`);
      return { ...fitted, generation_batch_size: batch };
    },
  };
}

function longestOf(ids: readonly (readonly number[])[]): number {
  return ids.reduce((longest, { length }) => Math.max(longest, length), 1);
}

/** TRL's default for RLOO. */
const DEFAULT_BETA = 0.05;

/** How far training came: means over its first and its last tenth. */
export interface OnPolicySummary {
  readonly steps: number;
  readonly first: { readonly reward: number; readonly kl: number };
  readonly last: { readonly reward: number; readonly kl: number };
}

/** `dualign grpo` and `dualign rloo`: training on a file of prompts, with λ as given. */
export async function trainAlone(context: ModelContext, trainer: OnPolicyTrainer): Promise<OnPolicySummary> {
  const { config } = context;
  const { prompts: path } = needFor(trainer, config, 'policy', 'prompts', 'reward');
  const { constraints, lambda = [], beta = DEFAULT_BETA } = config;
  if (lambda.length !== constraints.length) {
    throw new UserError(
      `expected one --lambda for each --cost and --safety, in the same order: got ${lambda.length} for ${constraints.length}`,
    );
  }
  checkWhole(config, trainer);
  const prompts = await readPrompts(context, path);
  const product = await productOf(context);
  await trainOnPolicy(context, { name: trainer, trainer, prompts, lambda, beta, product });
  const text = await readArtefact(context, METRICS, trainer);
  const metrics = parseJsonl(text, METRICS, (row) => row as OnPolicyMetrics);
  const tenth = Math.ceil(metrics.length / 10);
  const meansOf = (rows: readonly OnPolicyMetrics[]) => ({
    reward: mean(rows.map(({ reward }) => reward)),
    kl: mean(rows.map(({ kl }) => kl)),
  });
  return {
    steps: metrics.length,
    first: meansOf(metrics.slice(0, tenth)),
    last: meansOf(metrics.slice(-tenth)),
  };
}

type Train = (
  policy: Policy,
  ids: readonly (readonly number[])[],
  rewards: RewardFunctions,
  fitted: Partial<OnPolicyConfig>,
  hooks: OnPolicyHooks,
  trainable: Trainable,
) => Promise<void>;

/** A trainer with its settings, as they are given and filled in. */
function methodOf(trainer: OnPolicyTrainer, config: RunConfig, prompts: number, beta: number) {
  const shared = sharedSettings(config, prompts, beta);
  if (trainer === 'grpo') {
    const settings: Partial<GrpoConfig> = {
      ...shared,
      loss_type: grpoLoss(config),
      scale_rewards: config.scale_rewards,
      use_bias_correction_kl: config.use_bias_correction_kl,
    };
    const train: Train = (policy, ids, rewards, fitted, hooks, trainable) =>
      trainGrpo(policy, ids, rewards, { ...settings, ...fitted }, hooks, trainable);
    return { settings, filled: { ...GRPO_DEFAULTS, ...settings }, train };
  }
  const settings: Partial<RlooConfig> = {
    ...shared,
    normalize_advantages: config.normalize_advantages,
    ...(config.reward_clip_range ? { reward_clip_range: config.reward_clip_range } : {}),
  };
  const train: Train = (policy, ids, rewards, fitted, hooks, trainable) =>
    trainRloo(policy, ids, rewards, { ...settings, ...fitted }, hooks, trainable);
  return { settings, filled: { ...RLOO_DEFAULTS, ...settings }, train };
}

/** Completions in a batch, unless the user set its size. */
const COMPLETIONS_PER_BATCH = 64;

/** Settings that the run's configuration holds under the same names, but for TRL's max_completion_length. */
function sharedSettings(config: RunConfig, prompts: number, beta: number): Partial<OnPolicyConfig> {
  const { num_generations, num_iterations, steps_per_generation, mask_truncated_completions } = config;
  const { temperature, top_k, top_p, repetition_penalty, stop, epsilon, epsilon_high } = config;
  const slices = steps_per_generation ?? config.gradient_accumulation_steps;
  const fitting = Math.floor(Math.min(COMPLETIONS_PER_BATCH / num_generations, prompts / slices));
  return {
    ...trainSettings(config),
    beta,
    num_generations,
    num_iterations,
    ...(steps_per_generation === undefined ? {} : { steps_per_generation }),
    max_completion_length: config.max_new_tokens,
    temperature,
    top_k,
    top_p,
    repetition_penalty,
    stop,
    epsilon,
    ...(epsilon_high === undefined ? {} : { epsilon_high }),
    mask_truncated_completions,
    per_device_train_batch_size: config.per_device_train_batch_size ?? num_generations * Math.max(1, fitting),
  };
}

/** r + λᵀg by the run's scorers. */
function rewardFunctions(
  scoreRows: ScoreRows,
  prompts: readonly Prompt[],
  lambda: readonly number[],
): RewardFunctions {
  return {
    names: ['reward', ...lambda.map((_, j) => `safety_${j + 1}`)],
    weights: [1, ...lambda],
    score: async (rows, reference) => {
      const texts = rows.map(({ prompt, text, promptIds, completionIds }) => ({
        prompt: prompts[prompt],
        response: text,
        prompt_ids: promptIds,
        response_ids: completionIds,
      }));
      const scored = await scoreRows(texts, reference);
      return scored.map(({ reward, safety }) => [reward, ...safety]);
    },
  };
}

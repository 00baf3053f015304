import type { TrainPass } from '../model/llama.ts';
import { copyWeights } from '../model/parameters.ts';
import type { Policy } from '../model/policy.ts';
import { checkSequence } from '../model/policy.ts';
import { loadWasm } from '../wasm.ts';
import { type Advantages, groupAdvantages, leaveOneOutAdvantages } from './advantages.ts';
import { runTraining, type StepBatch, type StepMetrics, type TrainHooks } from './loop.ts';
import {
  type Cycle,
  checkGrpo,
  checkRloo,
  cycleOf,
  GRPO_DEFAULTS,
  type GrpoConfig,
  type OnPolicyConfig,
  RLOO_DEFAULTS,
  type RlooConfig,
} from './on_policy_config.ts';
import {
  grpoGradients,
  grpoMetrics,
  grpoWidth,
  type Judged,
  rlooGradients,
  rlooMetrics,
  rlooWidth,
  type Slice,
  sumOf,
} from './policy_gradient.ts';
import type { Window } from './recorder.ts';
import {
  type RewardFunctions,
  type Rollout,
  type RolloutMetrics,
  rolloutMetrics,
  Sampler,
  slicesOf,
} from './rollouts.ts';
import type { Trainable } from './trainable.ts';
import { adapterOf } from './trainer.ts';

/**
 * Metrics of a step, in TRL's names; those of what was drawn (`reward`, `completions/…`) stand in every step that learns
 * from it. `kl` is a mean over tokens: of exp(d) − d − 1, d = log π_ref − log π, in GRPO, and of −d in RLOO.
 */
export type OnPolicyMetrics = StepMetrics & Readonly<Record<string, number>>;

/** What was drawn at once, before the first step that learns from it. */
export interface Generated {
  /** 0, 1, … */
  readonly index: number;
  /** Those of a prompt together. */
  readonly rows: readonly Judged[];
  /** The micro-batches that they are learned in. */
  readonly slices: readonly (readonly Judged[])[];
}

/** Hooks of training on what the policy draws: `onGenerated` sees it. */
export interface OnPolicyHooks extends TrainHooks<RolloutMetrics> {
  readonly onGenerated?: (generated: Generated) => void | Promise<void>;
}

/** What tells one method from another. */
interface Method {
  readonly needsOld: boolean;
  readonly width: number;
  advantages(rollouts: readonly Rollout[]): Advantages;
  /** Metrics of all that was drawn, besides those of every method. */
  drawnMetrics(rollouts: readonly Rollout[]): RolloutMetrics;
  record(slice: Slice, out: Window, pass: TrainPass | undefined): void;
  summarize(
    slices: readonly Slice[],
    values: readonly Float32Array[],
  ): RolloutMetrics & { readonly loss: number };
}

/**
 * Group relative policy optimisation (Shao et al. 2024) of the policy's adapter against the policy without it, or, given
 * another trainable, of that against the policy as it is now, as TRL's GRPOTrainer does it. `prompts` are token ids.
 */
export async function trainGrpo(
  policy: Policy,
  prompts: readonly (readonly number[])[],
  rewards: RewardFunctions,
  options: Partial<GrpoConfig> = {},
  hooks: OnPolicyHooks = {},
  trainable = adapterOf(policy),
): Promise<void> {
  const config = { ...GRPO_DEFAULTS, ...options };
  checkGrpo(config);
  const cycle = cycleOf(config, prompts.length);
  const { exp } = await loadWasm();
  await trainOnPolicy({ policy, trainable, prompts, rewards, trainer: 'grpo', config, cycle }, hooks, {
    needsOld: !cycle.fresh,
    width: grpoWidth(config, config.per_device_train_batch_size),
    advantages: (rollouts) =>
      groupAdvantages(rewardsOf(rollouts), config.num_generations, config.scale_rewards),
    drawnMetrics: () => ({}),
    record: (slice, out, pass) => grpoGradients(policy, slice, config, cycle, out, pass),
    summarize: (slices, values) => grpoMetrics(slices, values, config, cycle.fresh, exp),
  });
}

/**
 * REINFORCE leave-one-out (Ahmadian et al. 2024) of the policy's adapter against the policy without it, or, given another
 * trainable, of that against the policy as it is now, as TRL's RLOOTrainer does it: the KL divergence of a whole completion
 * is part of its reward. `prompts` are token ids.
 */
export async function trainRloo(
  policy: Policy,
  prompts: readonly (readonly number[])[],
  rewards: RewardFunctions,
  options: Partial<RlooConfig> = {},
  hooks: OnPolicyHooks = {},
  trainable = adapterOf(policy),
): Promise<void> {
  const config = { ...RLOO_DEFAULTS, ...options };
  checkRloo(config);
  const cycle = cycleOf(config, prompts.length);
  const { exp } = await loadWasm();
  await trainOnPolicy({ policy, trainable, prompts, rewards, trainer: 'rloo', config, cycle }, hooks, {
    needsOld: true,
    width: rlooWidth(config.per_device_train_batch_size),
    advantages: (rollouts) =>
      leaveOneOutAdvantages(
        rewardsOf(rollouts),
        Float64Array.from(rollouts, divergence),
        config.num_generations,
        {
          beta: config.beta,
          clipRange: config.reward_clip_range,
          normalize: config.normalize_advantages,
        },
      ),
    drawnMetrics: (rollouts): RolloutMetrics => (config.beta > 0 ? { kl: meanDivergence(rollouts) } : {}),
    record: (slice, out, pass) => rlooGradients(policy, slice, config, out, pass),
    summarize: (slices, values) => rlooMetrics(slices, values, config, exp),
  });
}

interface OnPolicyTraining {
  readonly policy: Policy;
  readonly trainable: Trainable;
  readonly prompts: readonly (readonly number[])[];
  readonly rewards: RewardFunctions;
  readonly trainer: string;
  readonly config: OnPolicyConfig;
  readonly cycle: Cycle;
}

async function trainOnPolicy(
  training: OnPolicyTraining,
  hooks: OnPolicyHooks,
  method: Method,
): Promise<void> {
  const { policy, trainable, prompts, rewards, trainer, config, cycle } = training;
  if (trainable.pass.adapter !== policy.adapter) {
    throw new Error(
      'training: expected a policy that draws from what is trained, got one with another adapter',
    );
  }
  for (const ids of prompts) checkSequence(policy, ids, config.max_completion_length);
  const reference = config.beta > 0 ? referenceOf(policy) : undefined;
  const sampler = new Sampler(policy, reference?.policy, prompts, rewards, config, cycle, method.needsOld);
  const drawn = new Latest(async (index) => {
    const rollouts = await sampler.draw(index, hooks.signal);
    const { values, fracZeroStd } = method.advantages(rollouts);
    const rows = rollouts.map((rollout, i) => ({ rollout, advantage: values[i] }));
    const slices = slicesOf(rows, cycle.slices, config.seed, index);
    await hooks.onGenerated?.({ index, rows, slices });
    const counted = rollouts.filter(({ counts }) => counts);
    const tokensDrawn = counted.reduce((sum, { completionIds }) => sum + completionIds.length, 0);
    return {
      tokens: rollouts.reduce(
        (sum, { promptIds, completionIds }) => sum + promptIds.length + completionIds.length,
        0,
      ),
      slices: slices.map((slice): Slice => ({ rows: slice, tokensDrawn })),
      metrics: { ...rolloutMetrics(rollouts, rewards.names, fracZeroStd), ...method.drawnMetrics(rollouts) },
    };
  });
  // No result depends on how many are sampled at once, so a checkpoint does not either.
  const { generation_batch_size: _, ...decisive } = config;
  const { gradient_accumulation_steps: accumulation } = config;

  async function batch(step: number): Promise<StepBatch<RolloutMetrics>> {
    const slices: Slice[] = [];
    let metrics: RolloutMetrics = {};
    let tokens = 0;
    for (let i = step * accumulation; i < (step + 1) * accumulation; i++) {
      const generation = await drawn.at(Math.floor(i / cycle.microBatches));
      slices.push(generation.slices[i % cycle.slices]);
      ({ metrics } = generation);
      // What was drawn counts when it is learned from first.
      if (i % cycle.microBatches === 0) tokens += generation.tokens;
    }
    return {
      epoch: (step + 1) / cycle.perEpoch,
      tokens,
      microBatches: slices.map((slice) => ({ record: (out, pass) => method.record(slice, out, pass) })),
      summarize: (values) => ({ ...metrics, ...method.summarize(slices, values) }),
    };
  }

  try {
    await runTraining<RolloutMetrics>(
      {
        engine: policy.engine,
        trainable,
        config: decisive,
        total: cycle.total,
        microBatches: accumulation,
        width: method.width,
        settings: { trainer, prompts: prompts.length, rewards: rewards.names, weights: rewards.weights },
        batch,
        // Drawing waits for the device anyway.
        stepsPerRead: 1,
        evalSteps: 1,
        saveSteps: Math.ceil(config.save_steps / cycle.steps) * cycle.steps,
      },
      hooks,
    );
  } finally {
    reference?.free();
  }
}

/** The policy as it stays: without its adapter, or, where it has none, with a copy of its weights. */
export function referenceOf(policy: Policy): { readonly policy: Policy; free(): void } {
  if (policy.adapter) return { policy: { ...policy, adapter: undefined }, free: () => {} };
  const { weights, free } = copyWeights(policy.engine, policy.weights);
  return { policy: { ...policy, weights }, free };
}

/** The latest of a row of values, each made once and in order. */
class Latest<T> {
  #make: (index: number) => Promise<T>;
  #index = -1;
  #value: T | undefined;

  constructor(make: (index: number) => Promise<T>) {
    this.#make = make;
  }

  async at(index: number): Promise<T> {
    if (index !== this.#index) {
      this.#value = await this.#make(index);
      this.#index = index;
    }
    return this.#value!;
  }
}

function rewardsOf(rollouts: readonly Rollout[]): Float64Array {
  return Float64Array.from(rollouts, ({ reward }) => reward);
}

/** log π/π_ref of a completion; 0 where beta is 0 or its tokens are masked. */
function divergence({ counts, oldLogps, refLogps }: Rollout): number {
  return counts && refLogps.length > 0 ? sumOf(oldLogps) - sumOf(refLogps) : 0;
}

function meanDivergence(rollouts: readonly Rollout[]): number {
  const counted = rollouts.filter(({ counts }) => counts);
  const tokens = counted.reduce((sum, { completionIds }) => sum + completionIds.length, 0);
  return counted.reduce((sum, rollout) => sum + divergence(rollout), 0) / Math.max(1, tokens);
}

import { UserError } from '../errors.ts';
import { SCALE_REWARDS, type ScaleRewards } from './advantages.ts';
import { checkTrainConfig, TRAIN_DEFAULTS, type TrainConfig } from './config.ts';

/** GRPO's ways to weigh a token's loss, by TRL's names; see `tokenWeights`. */
export const GRPO_LOSSES = ['dapo', 'grpo', 'bnpo', 'dr_grpo'] as const;
export type GrpoLoss = (typeof GRPO_LOSSES)[number];

/**
 * Settings that GRPO and RLOO share, in the names of TRL's GRPOConfig and RLOOConfig. Batches and micro-batches count
 * completions; `gradient_accumulation_steps` of them make an optimisation step.
 */
export interface OnPolicyConfig extends TrainConfig {
  /** Weight of the KL divergence from the reference; 0 leaves it out. */
  readonly beta: number;
  /** Completions drawn for a prompt, to be compared with each other. */
  readonly num_generations: number;
  /** Passes over what was drawn before more is drawn (μ). */
  readonly num_iterations: number;
  /** Micro-batches drawn at once; 0: gradient_accumulation_steps. */
  readonly steps_per_generation: number;
  readonly max_completion_length: number;
  readonly temperature: number;
  /** 0 keeps all tokens. */
  readonly top_k: number;
  readonly top_p: number;
  readonly repetition_penalty: number;
  readonly stop: readonly string[];
  /** Completions sampled at once; results do not depend on it. */
  readonly generation_batch_size: number;
  /** The ratio of probabilities is clipped to 1 − epsilon … 1 + epsilon_high; 0 for the latter: epsilon. */
  readonly epsilon: number;
  readonly epsilon_high: number;
  /** Learn nothing from completions that were cut at max_completion_length. */
  readonly mask_truncated_completions: boolean;
}

export interface GrpoConfig extends OnPolicyConfig {
  readonly loss_type: GrpoLoss;
  readonly scale_rewards: ScaleRewards;
  /** Multiply the divergence by the ratio: its gradient is then that of the KL divergence of a token. */
  readonly use_bias_correction_kl: boolean;
}

export interface RlooConfig extends OnPolicyConfig {
  readonly normalize_advantages: boolean;
  readonly reward_clip_range?: readonly [number, number];
}

const ON_POLICY_DEFAULTS: OnPolicyConfig = {
  ...TRAIN_DEFAULTS,
  per_device_train_batch_size: 64,
  beta: 0.05,
  num_generations: 8,
  num_iterations: 1,
  steps_per_generation: 0,
  max_completion_length: 64,
  temperature: 1,
  top_k: 0,
  top_p: 1,
  repetition_penalty: 1,
  stop: [],
  generation_batch_size: 128,
  epsilon: 0.2,
  epsilon_high: 0,
  mask_truncated_completions: false,
};

/** TRL's scale_rewards is `group`; unscaled, beta is the weight of the KL divergence in units of the reward. */
export const GRPO_DEFAULTS: GrpoConfig = {
  ...ON_POLICY_DEFAULTS,
  loss_type: 'dapo',
  scale_rewards: 'none',
  use_bias_correction_kl: true,
};
export const RLOO_DEFAULTS: RlooConfig = { ...ON_POLICY_DEFAULTS, normalize_advantages: false };

/** How micro-batches, what was drawn for them and optimisation steps follow each other. */
export interface Cycle {
  /** Prompts and micro-batches of what is drawn at once. */
  readonly prompts: number;
  readonly slices: number;
  /** Micro-batches until more is drawn. */
  readonly microBatches: number;
  /** Optimisation steps after which drawing and stepping come together again: only there can training go on anew. */
  readonly steps: number;
  /** Whether all that is learned from a completion happens before the policy changes: then its ratio is 1. */
  readonly fresh: boolean;
  /** Optimisation steps in all, and of one pass over the prompts. */
  readonly total: number;
  readonly perEpoch: number;
}

/** The cycle of training on so many prompts; throws a UserError that names the first setting out of its range. */
export function cycleOf(config: OnPolicyConfig, prompts: number): Cycle {
  checkTrainConfig(config);
  const { per_device_train_batch_size: size, gradient_accumulation_steps: accumulation } = config;
  for (const name of ['num_iterations', 'max_completion_length', 'generation_batch_size'] as const) {
    expect(isCount(config[name]), `${name} as a positive integer`, config[name]);
  }
  const { num_generations: group, steps_per_generation, beta, epsilon, epsilon_high, temperature } = config;
  expect(isCount(group) && group > 1, 'num_generations as an integer of at least 2, to compare them', group);
  expect(
    steps_per_generation === 0 || isCount(steps_per_generation),
    'steps_per_generation as a positive integer, or 0 for gradient_accumulation_steps',
    steps_per_generation,
  );
  expect(beta >= 0 && beta < Infinity, 'beta of at least 0', beta);
  expect(epsilon > 0 && epsilon < 1, 'epsilon between 0 and 1', epsilon);
  expect(epsilon_high >= 0 && epsilon_high < Infinity, 'epsilon_high of at least 0', epsilon_high);
  expect(temperature > 0 && temperature < Infinity, 'a temperature above 0', temperature);
  const slices = steps_per_generation || accumulation;
  expect(
    (size * slices) % group === 0,
    `per_device_train_batch_size · steps_per_generation as a multiple of num_generations ${group}`,
    `${size} · ${slices}`,
  );
  const drawn = (size * slices) / group;
  if (drawn > prompts) {
    throw new UserError(
      `training: expected at least ${drawn} prompts, as many as are drawn at once ` +
        `(per_device_train_batch_size ${size} · steps_per_generation ${slices} / num_generations ${group}), got ${prompts}; ` +
        'lower per_device_train_batch_size, raise num_generations or add prompts',
    );
  }
  const microBatches = slices * config.num_iterations;
  const perEpoch = (Math.floor(prompts / drawn) * microBatches) / accumulation;
  return {
    prompts: drawn,
    slices,
    microBatches,
    steps: microBatches / greatestDivisor(microBatches, accumulation),
    fresh: accumulation % microBatches === 0,
    total: config.max_steps > 0 ? config.max_steps : Math.ceil(config.num_train_epochs * perEpoch),
    perEpoch,
  };
}

/** Throws where a loss or scaling is not one of those there are. */
export function checkGrpo({ loss_type, scale_rewards }: GrpoConfig): void {
  expect(GRPO_LOSSES.includes(loss_type), `loss_type as one of ${GRPO_LOSSES.join(', ')}`, loss_type);
  expect(
    SCALE_REWARDS.includes(scale_rewards),
    `scale_rewards as one of ${SCALE_REWARDS.join(', ')}`,
    scale_rewards,
  );
}

/** Throws where the range of rewards is none. */
export function checkRloo({ reward_clip_range: range }: RlooConfig): void {
  if (range)
    expect(range[0] < range[1], 'reward_clip_range from a lower to a higher value', range.join(', '));
}

function expect(holds: boolean, what: string, got: unknown): void {
  if (!holds) throw new UserError(`training: expected ${what}, got ${got}`);
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value > 0;
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

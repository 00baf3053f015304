import { UserError } from '../errors.ts';
import type { OptimizerConfig } from './optimizer.ts';
import { checkSchedule, type ScheduleConfig } from './schedule.ts';

/** Settings that every way of training has, in the names of transformers' TrainingArguments. */
export interface TrainConfig extends OptimizerConfig, ScheduleConfig {
  /** Where it is above 0 it takes the place of warmup_ratio. */
  readonly warmup_steps: number;
  readonly warmup_ratio: number;
  readonly num_train_epochs: number;
  /** Where it is above 0 training ends after so many steps. */
  readonly max_steps: number;
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
  /** Compute each block again in the backward pass: less memory, the same bits, about a third more time. */
  readonly gradient_checkpointing: boolean;
  /** Batch examples of like length, as transformers' LengthGroupedSampler does: less padding. */
  readonly group_by_length: boolean;
  readonly save_steps: number;
  /** Evaluate every so many steps, where there are examples held out; 0: after every epoch. */
  readonly eval_steps: number;
  /** Stop after so many evaluations without a lower eval_loss and go back to the best; 0: never. */
  readonly early_stopping_patience: number;
  readonly seed: number;
}

export const TRAIN_DEFAULTS: TrainConfig = {
  learning_rate: 5e-4,
  lr_scheduler_type: 'cosine',
  warmup_steps: 0,
  warmup_ratio: 0.1,
  num_train_epochs: 3,
  max_steps: 0,
  per_device_train_batch_size: 16,
  gradient_accumulation_steps: 1,
  gradient_checkpointing: false,
  group_by_length: false,
  weight_decay: 0,
  max_grad_norm: 1,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  save_steps: 25,
  eval_steps: 0,
  early_stopping_patience: 0,
  seed: 0,
};

const POSITIVE = ['learning_rate', 'adam_epsilon'] as const;
const COUNTS = [
  'num_train_epochs',
  'per_device_train_batch_size',
  'gradient_accumulation_steps',
  'save_steps',
] as const;

/** Throws a UserError that names the first setting out of its range. */
export function checkTrainConfig(config: TrainConfig): void {
  for (const name of POSITIVE) {
    if (!(config[name] > 0 && config[name] < Infinity)) {
      throw new UserError(`training: expected ${name} above 0, got ${config[name]}`);
    }
  }
  for (const name of COUNTS) {
    if (!Number.isInteger(config[name]) || config[name] < 1) {
      throw new UserError(`training: expected ${name} as a positive integer, got ${config[name]}`);
    }
  }
  checkSchedule(config);
}

/** Optimisation steps of one pass over `examples`. */
export function stepsPerEpoch(config: TrainConfig, examples: number): number {
  return Math.ceil(examples / (config.per_device_train_batch_size * config.gradient_accumulation_steps));
}

/** Optimisation steps of a run over `examples`. */
export function totalSteps(config: TrainConfig, examples: number): number {
  return config.max_steps > 0 ? config.max_steps : config.num_train_epochs * stepsPerEpoch(config, examples);
}

/** Steps over which the learning rate rises. */
export function warmupSteps(config: TrainConfig, total: number): number {
  return config.warmup_steps > 0 ? config.warmup_steps : Math.ceil(total * config.warmup_ratio);
}

import type { Completion } from '../model/head.ts';
import type { Policy } from '../model/policy.ts';
import { checkTrainConfig, stepsPerEpoch, TRAIN_DEFAULTS, type TrainConfig, totalSteps } from './config.ts';
import {
  checkLoss,
  checkPairs,
  type DpoLossConfig,
  type DpoMetrics,
  dpoBatch,
  dpoWidth,
  type PreferencePair,
  type ReferenceLogps,
  referenceLogps,
} from './dpo.ts';
import { runTraining, type StepBatch, type StepMetrics, type TrainHooks } from './loop.ts';
import { groupBy, type Order, stepIndices } from './order.ts';
import { checkCompletions, type SftMetrics, sftBatch, sftWidth } from './sft.ts';
import { adapterTrainable, type Trainable } from './trainable.ts';

/** Settings of DPO training, in the names of TRL's DPOConfig. */
export interface DpoConfig extends TrainConfig, DpoLossConfig {}

export const DPO_DEFAULTS: DpoConfig = {
  ...TRAIN_DEFAULTS,
  beta: 0.1,
  loss_type: 'sigmoid',
  label_smoothing: 0,
};

export type TrainMetrics = StepMetrics & DpoMetrics;

/** Examples to learn from, and examples held out. */
export interface Split<T> {
  readonly train: readonly T[];
  readonly evaluation: readonly T[];
}

/** Hooks of DPO: log-probabilities of the reference may be given too. */
export interface DpoHooks extends TrainHooks<DpoMetrics> {
  /** What `referenceLogps` gave for the pairs and for those held out; computed when absent. */
  readonly reference?: ReferenceLogps;
  readonly evaluationReference?: ReferenceLogps;
}

/** More would let work pile up on the device. */
export const STEPS_PER_READ = 8;

interface Epochs<T, M> {
  readonly policy: Policy;
  readonly trainable: Trainable;
  readonly config: TrainConfig;
  readonly count: number;
  readonly order: Order;
  readonly width: number;
  readonly settings: Readonly<Record<string, unknown>>;
  batch(indices: readonly number[], epoch: number): StepBatch<M>;
  readonly held: readonly T[];
  evaluation(): StepBatch<M>;
}

/** Training over a data set: epochs of a shuffled order. */
export async function trainEpochs<T, M extends object>(
  epochs: Epochs<T, M>,
  hooks: TrainHooks<M>,
): Promise<void> {
  const { policy, trainable, config, count, order, held } = epochs;
  const perEpoch = stepsPerEpoch(config, count);
  const size = config.per_device_train_batch_size * config.gradient_accumulation_steps;
  await runTraining<M>(
    {
      engine: policy.engine,
      trainable,
      config,
      total: totalSteps(config, count),
      microBatches: config.gradient_accumulation_steps,
      width: epochs.width,
      settings: { ...epochs.settings, evaluation: held.length },
      batch: (step) => epochs.batch(stepIndices(order, step, perEpoch, size), (step + 1) / perEpoch),
      evaluation: held.length > 0 ? epochs.evaluation() : undefined,
      evalSteps: config.eval_steps > 0 ? config.eval_steps : perEpoch,
      stepsPerRead: STEPS_PER_READ,
      saveSteps: config.save_steps,
    },
    hooks,
  );
}

/**
 * Trains by direct preference optimisation (Rafailov et al. 2023): the policy's adapter against the policy without it, or,
 * given another trainable, that against the policy as it is now. Each epoch goes through the pairs in an order of its own,
 * drawn from the seed; the last batch may be smaller.
 */
export async function trainDpo(
  policy: Policy,
  pairs: readonly PreferencePair[] | Split<PreferencePair>,
  options: Partial<DpoConfig> = {},
  hooks: DpoHooks = {},
  trainable = adapterOf(policy),
): Promise<void> {
  const config = { ...DPO_DEFAULTS, ...options };
  const { train, evaluation } = splitOf(pairs);
  checkTrainConfig(config);
  for (const part of [train, evaluation.length > 0 ? evaluation : train]) {
    checkPairs(policy, part);
    checkLoss(config, part);
  }
  const { signal } = hooks;
  const reference = hooks.reference ?? (await referenceLogps(policy, train, { signal }));
  const held = hooks.evaluationReference ?? (await referenceLogps(policy, evaluation, { signal }));
  const size = config.per_device_train_batch_size;
  await trainEpochs<PreferencePair, DpoMetrics>(
    {
      policy,
      trainable,
      config,
      count: train.length,
      order: dpoOrder(train, config),
      width: dpoWidth(size),
      settings: { pairs: train.length },
      batch: (indices, epoch) => {
        const part = {
          chosen: Float32Array.from(indices, (index) => reference.chosen[index]),
          rejected: Float32Array.from(indices, (index) => reference.rejected[index]),
        };
        return dpoBatch(
          policy,
          indices.map((index) => train[index]),
          part,
          config,
          size,
          epoch,
        );
      },
      held: evaluation,
      evaluation: () => dpoBatch(policy, evaluation, held, config, size, 0),
    },
    hooks,
  );
}

/** The order in which DPO takes pairs: those of one prompt together. */
export function dpoOrder(pairs: readonly PreferencePair[], config: TrainConfig): Order {
  const groups = groupBy(pairs, ({ promptIds }) => promptIds.join());
  return orderOf(config, groups, (index) => {
    const { promptIds, chosenIds, rejectedIds } = pairs[index];
    return promptIds.length + Math.max(chosenIds.length, rejectedIds.length);
  });
}

/** The order of examples; `groups` are those to keep together. */
export function orderOf(
  { seed, group_by_length }: TrainConfig,
  groups: Order['groups'],
  lengthOf: (index: number) => number,
): Order {
  return { seed, groups, lengthOf: group_by_length ? lengthOf : undefined };
}

/** The order in which supervised fine-tuning takes completions. */
export function sftOrder(completions: readonly Completion[], config: TrainConfig): Order {
  const groups = completions.map((_, index) => [index]);
  return orderOf(
    config,
    groups,
    (index) => completions[index].promptIds.length + completions[index].completionIds.length,
  );
}

/** Supervised fine-tuning on completions: their tokens alone count, not the prompt's. */
export async function trainSft(
  policy: Policy,
  examples: readonly Completion[] | Split<Completion>,
  options: Partial<TrainConfig> = {},
  hooks: TrainHooks<SftMetrics> = {},
  trainable = adapterOf(policy),
): Promise<void> {
  const config = { ...TRAIN_DEFAULTS, ...options };
  const { train, evaluation } = splitOf(examples);
  checkTrainConfig(config);
  checkCompletions(policy, train);
  if (evaluation.length > 0) checkCompletions(policy, evaluation);
  const size = config.per_device_train_batch_size;
  await trainEpochs<Completion, SftMetrics>(
    {
      policy,
      trainable,
      config,
      count: train.length,
      order: sftOrder(train, config),
      width: sftWidth(size),
      settings: { examples: train.length },
      batch: (indices, epoch) =>
        sftBatch(
          policy,
          indices.map((index) => train[index]),
          size,
          epoch,
        ),
      held: evaluation,
      evaluation: () => sftBatch(policy, evaluation, size, 0),
    },
    hooks,
  );
}

export function splitOf<T>(rows: readonly T[] | Split<T>): Split<T> {
  return 'train' in rows ? rows : { train: rows, evaluation: [] };
}

export function adapterOf({ adapter }: Policy): Trainable {
  if (!adapter) throw new Error('training: expected a policy with an adapter, or what else to train');
  return adapterTrainable(adapter);
}

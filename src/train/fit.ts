/** How a training over a data set goes on a device that has only so much memory. */
import { UserError } from '../errors.ts';
import type { Completion, HeadLimits } from '../model/head.ts';
import type { LoraConfig } from '../model/lora.ts';
import type { Policy } from '../model/policy.ts';
import type { Capacities } from '../model/workspace.ts';
import { checkTrainConfig, type TrainConfig, totalSteps } from './config.ts';
import type { PreferencePair } from './dpo.ts';
import { leastChange, mebibytes, mends, type Space } from './memory_plan.ts';
import { epochIndices, type Order } from './order.ts';
import { type RewardPair, rewardOrder } from './reward.ts';
import {
  type Phase,
  type SizedBatches,
  type SizedModel,
  type StepChoice,
  sizeDpo,
  sizedModel,
  sizeReward,
  sizeSft,
} from './sizing.ts';
import { dpoOrder, type Split, sftOrder, splitOf } from './trainer.ts';

/** Batches of one step, by TRL's names: their product is what a step learns from. */
export interface Batches {
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
}

export interface FittedTraining extends Batches {
  /** No bit depends on it, nor on `headLimits`. */
  readonly gradient_checkpointing: boolean;
  readonly headLimits?: HeadLimits;
  /** Of the workspace that it goes on in. */
  readonly capacities: Capacities;
  /** Most bytes held at a time. */
  readonly bytes: number;
}

/** What differs between trainings over a data set, as far as memory goes. */
export interface TrainingKind<T> {
  /** One of what it learns from, for messages. */
  readonly unit: string;
  order(examples: readonly T[], config: TrainConfig): Order;
  /** Sizes of which one or another is the largest in the batch that takes most. */
  sizesOf(batch: readonly T[]): readonly number[];
  size(model: SizedModel, batches: SizedBatches<T>, choice: StepChoice): Promise<Phase>;
}

export const DPO: TrainingKind<PreferencePair> = {
  unit: 'pair',
  order: dpoOrder,
  sizesOf: (batch) =>
    sizesOf(
      batch.flatMap(({ promptIds, chosenIds, rejectedIds }) => [
        { promptIds, completionIds: chosenIds },
        { promptIds, completionIds: rejectedIds },
      ]),
    ),
  size: sizeDpo,
};

export const SFT: TrainingKind<Completion> = { unit: 'example', order: sftOrder, sizesOf, size: sizeSft };

export const REWARD: TrainingKind<RewardPair> = {
  unit: 'pair',
  order: rewardOrder,
  sizesOf: (batch) =>
    sizesOf(
      batch.flatMap(({ chosenIds, rejectedIds }) =>
        [chosenIds, rejectedIds].map((promptIds) => ({ promptIds, completionIds: [] })),
      ),
    ),
  size: sizeReward,
};

/** The space of a policy that is loaded; without `lora`, to train all weights. */
export function spaceOf(policy: Policy, lora?: LoraConfig): Space {
  return { model: sizedModel(policy, lora), most: policy.engine.limits.total ?? Infinity };
}

/**
 * The way to train on these examples that fits the device: with the batches asked for if blocks computed again and logits
 * in smaller parts make them fit, else with smaller ones, of which a step takes more. A step learns from the same examples
 * either way; only the order in which their gradients are added up differs, and so their rounding. `fixed` keeps the
 * batches. Held-out examples have to fit too.
 *
 * @throws UserError when not even one example at a time fits.
 */
export async function fitTraining<T>(
  kind: TrainingKind<T>,
  { model, most }: Space,
  examples: readonly T[] | Split<T>,
  config: TrainConfig,
  fixed = false,
): Promise<FittedTraining> {
  checkTrainConfig(config);
  const split = splitOf(examples);
  if (split.train.length === 0) {
    throw new UserError(`training: expected at least one ${kind.unit} to learn from, got none`);
  }
  const step = config.per_device_train_batch_size * config.gradient_accumulation_steps;
  let reason = '';
  for (let size = config.per_device_train_batch_size; size >= 1; size--) {
    if (step % size > 0) continue;
    const { choice, phase, refusal } = await sizeLargest(kind, model, split, config, { step, size }, most);
    if (phase && phase.peak <= most) {
      const { gradient_checkpointing, head } = choice;
      return {
        per_device_train_batch_size: size,
        gradient_accumulation_steps: step / size,
        gradient_checkpointing,
        headLimits: head,
        capacities: phase.capacities,
        bytes: phase.peak,
      };
    }
    const takes =
      refusal ?? `takes ${mebibytes(phase.peak)} MiB, more than ${Math.floor(most / 2 ** 20)} MiB`;
    reason = `training on ${size} ${kind.unit}${size > 1 ? 's' : ''} at a time ${takes}`;
    if (fixed) {
      throw new UserError(`memory: ${reason}, and it began with batches of this size`, 2, [
        'go on where there is more memory',
        'allow more with --memory',
        'start this stage anew with --redo',
      ]);
    }
  }
  throw new UserError(`memory: ${reason}`, 2, mends(model.lora === undefined));
}

/** The most that a batch of this training takes. */
async function sizeLargest<T>(
  kind: TrainingKind<T>,
  model: SizedModel,
  { train, evaluation }: Split<T>,
  config: TrainConfig,
  batches: { readonly step: number; readonly size: number },
  most: number,
): Promise<
  | { choice: StepChoice; phase: Phase; refusal?: undefined }
  | { choice?: undefined; phase?: undefined; refusal: string }
> {
  try {
    const { step, size } = batches;
    const sized: SizedBatches<T> = {
      learned: largestOf(kind, trainingBatches(kind, train, config, batches)),
      held: largestOf(kind, batchesOf(evaluation, size)),
      perStep: step / size,
      perEvaluation: Math.ceil(evaluation.length / size),
    };
    return await leastChange(config.gradient_checkpointing, most, (each) => kind.size(model, sized, each));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { refusal: `does not work: ${error.message}` };
  }
}

/** The batches of a whole training. */
function* trainingBatches<T>(
  kind: TrainingKind<T>,
  examples: readonly T[],
  config: TrainConfig,
  { step, size }: { readonly step: number; readonly size: number },
): Generator<readonly T[]> {
  const order = kind.order(examples, config);
  const perEpoch = Math.ceil(examples.length / step);
  const epochs = Math.ceil(totalSteps(config, examples.length) / perEpoch);
  for (let epoch = 0; epoch < epochs; epoch++) {
    const ordered = epochIndices(order, epoch, step).map((index) => examples[index]);
    for (const ofStep of batchesOf(ordered, step)) yield* batchesOf(ofStep, size);
  }
}

function* batchesOf<T>(examples: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < examples.length; start += size) yield examples.slice(start, start + size);
}

/** Of the batches that with most of each size. */
function largestOf<T>(kind: TrainingKind<T>, batches: Iterable<readonly T[]>): readonly (readonly T[])[] {
  const most: number[] = [];
  const largest: (readonly T[])[] = [];
  for (const batch of batches) {
    kind.sizesOf(batch).forEach((value, i) => {
      if (value <= (most[i] ?? -1)) return;
      most[i] = value;
      largest[i] = batch;
    });
  }
  return [...new Set(largest)];
}

/** Tokens of a batch's different sequences, padded to the longest, and of its different completions. */
function sizesOf(batch: readonly Completion[]): [number, number] {
  const seen = new Set<string>();
  let [longest, tokens] = [0, 0];
  for (const { promptIds, completionIds } of batch) {
    const key = `${promptIds}|${completionIds}`;
    if (seen.has(key)) continue;
    seen.add(key);
    longest = Math.max(longest, promptIds.length + completionIds.length);
    tokens += completionIds.length;
  }
  return [seen.size * longest, tokens];
}

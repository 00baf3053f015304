/** How a training over a data set goes on a device that has only so much memory. */
import { UserError } from '../errors.ts';
import type { Completion, HeadLimits } from '../model/head.ts';
import type { LoraConfig } from '../model/lora.ts';
import type { Policy } from '../model/policy.ts';
import { checkTrainConfig, type TrainConfig, totalSteps } from './config.ts';
import type { PreferencePair } from './dpo.ts';
import { leastChange, MEND, mebibytes } from './memory_plan.ts';
import { epochIndices, type Order } from './order.ts';
import { type RewardPair, rewardOrder } from './reward.ts';
import {
  type Phase,
  type SizedModel,
  type StepChoice,
  sizeDpo,
  sizedModel,
  sizeReward,
  sizeSft,
} from './sizing.ts';
import { dpoOrder, sftOrder } from './trainer.ts';

/** Batches of one step, by TRL's names: their product is what a step learns from. */
export interface Batches {
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
}

export interface FittedTraining extends Batches {
  /** No bit depends on it, nor on `headLimits`. */
  readonly gradient_checkpointing: boolean;
  readonly headLimits?: HeadLimits;
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
  size(model: SizedModel, batch: readonly T[], choice: StepChoice): Promise<Phase>;
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

/** A model to be trained, and the most bytes that it may come to hold. */
export interface Space {
  readonly model: SizedModel;
  readonly most: number;
}

/** The space of a policy that is loaded; without `lora`, to train all weights. */
export function spaceOf(policy: Policy, lora?: LoraConfig): Space {
  return { model: sizedModel(policy, lora), most: policy.engine.limits.total ?? Infinity };
}

/**
 * The way to train on these examples that fits the device: with the batches asked for if blocks computed again and logits
 * in smaller parts make them fit, else with smaller ones, of which a step takes more. A step learns from the same examples
 * either way; only the order in which their gradients are added up differs, and so their rounding. `fixed` keeps the
 * batches.
 *
 * @throws UserError when not even one example at a time fits.
 */
export async function fitTraining<T>(
  kind: TrainingKind<T>,
  { model, most }: Space,
  examples: readonly T[],
  config: TrainConfig,
  fixed = false,
): Promise<FittedTraining> {
  checkTrainConfig(config);
  if (examples.length === 0) {
    throw new UserError(`training: expected at least one ${kind.unit} to learn from, got none`);
  }
  const step = config.per_device_train_batch_size * config.gradient_accumulation_steps;
  let reason = '';
  for (let size = config.per_device_train_batch_size; size >= 1; size--) {
    if (step % size > 0) continue;
    const { choice, peak, refusal } = await sizeLargest(kind, model, examples, config, { step, size }, most);
    if (choice && peak <= most) {
      const { gradient_checkpointing, head } = choice;
      return {
        per_device_train_batch_size: size,
        gradient_accumulation_steps: step / size,
        gradient_checkpointing,
        headLimits: head,
        bytes: peak,
      };
    }
    const takes = refusal ?? `takes ${mebibytes(peak)} MiB, more than ${Math.floor(most / 2 ** 20)} MiB`;
    reason = `training on ${size} ${kind.unit}${size > 1 ? 's' : ''} at a time ${takes}`;
    if (fixed) {
      throw new UserError(`memory: ${reason}, and it began with batches of this size`, 2, [
        'go on where there is more memory',
        'allow more with --memory',
        'start this stage anew with --redo',
      ]);
    }
  }
  throw new UserError(`memory: ${reason}`, 2, MEND);
}

/** The most that a batch of this training takes. */
async function sizeLargest<T>(
  kind: TrainingKind<T>,
  model: SizedModel,
  examples: readonly T[],
  config: TrainConfig,
  batches: { readonly step: number; readonly size: number },
  most: number,
) {
  try {
    const largest = largestBatches(kind, examples, config, batches);
    const { choice, phase } = await leastChange(config.gradient_checkpointing, most, async (each) => {
      const phases = await Promise.all(largest.map((batch) => kind.size(model, batch, each)));
      return phases.reduce((a, b) => (a.peak >= b.peak ? a : b));
    });
    return { choice, peak: phase.peak };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { peak: Infinity, refusal: `does not work: ${error.message}` };
  }
}

/** Of the batches of a whole training, that with most of each size. */
function largestBatches<T>(
  kind: TrainingKind<T>,
  examples: readonly T[],
  config: TrainConfig,
  { step, size }: { readonly step: number; readonly size: number },
): readonly (readonly T[])[] {
  const order = kind.order(examples, config);
  const perEpoch = Math.ceil(examples.length / step);
  const epochs = Math.ceil(totalSteps(config, examples.length) / perEpoch);
  const most: number[] = [];
  const largest: (readonly T[])[] = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const indices = epochIndices(order, epoch, step);
    for (let start = 0; start < indices.length; start += step) {
      const ofStep = indices.slice(start, start + step);
      for (let at = 0; at < ofStep.length; at += size) {
        const batch = ofStep.slice(at, at + size).map((index) => examples[index]);
        kind.sizesOf(batch).forEach((value, i) => {
          if (value <= (most[i] ?? -1)) return;
          most[i] = value;
          largest[i] = batch;
        });
      }
    }
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

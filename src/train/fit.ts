/** How a training goes on a device that has only so much memory. */
import { UserError } from '../errors.ts';
import type { HeadLimits } from '../model/head.ts';
import type { LoraConfig } from '../model/lora.ts';
import type { Policy } from '../model/policy.ts';
import { checkTrainConfig, totalSteps } from './config.ts';
import { checkPairs, type PreferencePair } from './dpo.ts';
import { fittingGenerationBatch, leastChange, MEND, mebibytes } from './memory_plan.ts';
import { epochIndices } from './order.ts';
import { pairsOf, type SamplingSizes, type SizedModel, sizeDpo, sizedModel } from './sizing.ts';
import { type DpoConfig, dpoOrder } from './trainer.ts';

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

/**
 * The way to train a LoRA adapter on pairs that fits the device: with the batches asked for if blocks computed again and
 * logits in smaller parts make them fit, else with smaller ones, of which a step takes more. A step learns from the same
 * pairs either way; only the order in which their gradients are added up differs, and so their rounding. `fixed` keeps the
 * batches.
 *
 * @throws UserError when not even one pair at a time fits.
 */
export async function fitDpo(
  policy: Policy,
  lora: LoraConfig,
  pairs: readonly PreferencePair[],
  config: DpoConfig,
  fixed = false,
): Promise<FittedTraining> {
  checkTrainConfig(config);
  checkPairs(policy, pairs);
  const model = sizedModel(policy, lora);
  const most = policy.engine.limits.total ?? Infinity;
  const step = config.per_device_train_batch_size * config.gradient_accumulation_steps;
  let reason = '';
  for (let size = config.per_device_train_batch_size; size >= 1; size--) {
    if (step % size > 0) continue;
    const { choice, peak, refusal } = await sizeLargest(model, pairs, { ...config, step, size }, most);
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
    reason = `training on ${size} ${size > 1 ? 'pairs' : 'pair'} at a time ${takes}`;
    if (fixed) {
      throw new UserError(
        `memory: ${reason}, and it began with batches of this size. Go on where there is more memory, allow more with ` +
          '--memory, or start this stage anew with --redo.',
      );
    }
  }
  throw new UserError(`memory: ${reason}. ${MEND}`);
}

export interface FittedRollouts {
  /** Completions sampled at once. */
  readonly generation_batch_size: number;
  readonly gradient_checkpointing: boolean;
  readonly headLimits?: HeadLimits;
}

/**
 * The way to sample and to train on completions of at most these sizes that fits the device, `completions` of them in a
 * batch of training. No bit depends on it.
 *
 * @throws UserError when not even blocks computed again and logits in smaller parts make a batch fit.
 */
export async function fitRollouts(
  policy: Policy,
  lora: LoraConfig,
  sizes: SamplingSizes & { readonly completions: number; readonly asked: number },
  checkpointing: boolean,
): Promise<FittedRollouts> {
  const generation_batch_size = await fittingGenerationBatch(policy, lora, sizes);
  const model = sizedModel(policy, lora);
  const most = policy.engine.limits.total ?? Infinity;
  const pairs = pairsOf(sizes, sizes.completions);
  const { choice, phase } = await leastChange(checkpointing, most, (each) => sizeDpo(model, pairs, each));
  if (phase.peak > most) {
    throw new UserError(
      `memory: training on ${sizes.completions} completions at a time takes ${mebibytes(phase.peak)} MiB, more than ` +
        `${Math.floor(most / 2 ** 20)} MiB. Lower --per-device-train-batch-size. ${MEND}`,
    );
  }
  const { gradient_checkpointing, head } = choice;
  return { generation_batch_size, gradient_checkpointing, headLimits: head };
}

/** The most that a batch of this training takes. */
async function sizeLargest(
  model: SizedModel,
  pairs: readonly PreferencePair[],
  config: DpoConfig & { readonly step: number; readonly size: number },
  most: number,
) {
  try {
    const largest = largestBatches(pairs, config);
    const { choice, phase } = await leastChange(config.gradient_checkpointing, most, async (each) => {
      const phases = await Promise.all(largest.map((batch) => sizeDpo(model, batch, each)));
      return phases.reduce((a, b) => (a.peak >= b.peak ? a : b));
    });
    return { choice, peak: phase.peak };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { peak: Infinity, refusal: `does not work: ${error.message}` };
  }
}

/** Of the batches of a whole training, that with most tokens, padding included, and that with most response tokens. */
function largestBatches(
  pairs: readonly PreferencePair[],
  config: DpoConfig & { readonly step: number; readonly size: number },
): readonly (readonly PreferencePair[])[] {
  const { step, size } = config;
  const order = dpoOrder(pairs, config);
  const perEpoch = Math.ceil(pairs.length / step);
  const epochs = Math.ceil(totalSteps(config, pairs.length) / perEpoch);
  let most = [0, 0];
  let largest: (readonly PreferencePair[])[] = [[], []];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const indices = epochIndices(order, epoch, step);
    for (let start = 0; start < indices.length; start += step) {
      const ofStep = indices.slice(start, start + step);
      for (let at = 0; at < ofStep.length; at += size) {
        const batch = ofStep.slice(at, at + size).map((index) => pairs[index]);
        const sizes = sizesOf(batch);
        most = most.map((value, i) => {
          if (sizes[i] > value) largest = largest.with(i, batch);
          return Math.max(value, sizes[i]);
        });
      }
    }
  }
  return [...new Set(largest)];
}

/** Tokens of a batch's different sequences, padded to the longest, and of its different responses. */
function sizesOf(batch: readonly PreferencePair[]): [number, number] {
  const seen = new Set<string>();
  let [longest, responses] = [0, 0];
  for (const { promptIds, chosenIds, rejectedIds } of batch) {
    for (const ids of [chosenIds, rejectedIds]) {
      const key = `${promptIds}|${ids}`;
      if (seen.has(key)) continue;
      seen.add(key);
      longest = Math.max(longest, promptIds.length + ids.length);
      responses += ids.length;
    }
  }
  return [seen.size * longest, responses];
}

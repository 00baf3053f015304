/** How completions are sampled and learnt from on a device that has only so much memory. */
import { UserError } from '../errors.ts';
import type { HeadLimits } from '../model/head.ts';
import type { LoraConfig } from '../model/lora.ts';
import type { Policy } from '../model/policy.ts';
import { fittingGenerationBatch, leastChange, MEND, mebibytes } from './memory_plan.ts';
import { type SamplingSizes, sizedModel, sizeRollouts } from './sizing.ts';

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
  const { choice, phase } = await leastChange(checkpointing, most, (each) =>
    sizeRollouts(model, sizes, sizes.completions, each),
  );
  if (phase.peak > most) {
    throw new UserError(
      `memory: training on ${sizes.completions} completions at a time takes ${mebibytes(phase.peak)} MiB, more than ` +
        `${Math.floor(most / 2 ** 20)} MiB. Lower --per-device-train-batch-size. ${MEND}`,
    );
  }
  const { gradient_checkpointing, head } = choice;
  return { generation_batch_size, gradient_checkpointing, headLimits: head };
}

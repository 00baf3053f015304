/** How completions are sampled and learnt from on a device that has only so much memory. */
import { UserError } from '../errors.ts';
import type { Batches, FittedTraining } from './fit.ts';
import { leastChange, mebibytes, mends, type Space } from './memory_plan.ts';
import { type RolloutSizes, sizeRollouts } from './sizing.ts';

/**
 * The way to train on completions of at most these sizes that fits the device: with the batches asked for if blocks computed
 * again and logits in smaller parts make them fit, else with smaller ones, of which a step takes more; see `fitTraining`.
 *
 * @throws UserError when not even one completion at a time fits, or, of `fixed` batches, when these do not.
 */
export async function fitRollouts(
  { model, most }: Space,
  sizes: RolloutSizes,
  asked: Batches & { readonly gradient_checkpointing: boolean },
  fixed = false,
): Promise<FittedTraining> {
  const step = asked.per_device_train_batch_size * asked.gradient_accumulation_steps;
  let reason = '';
  for (let size = asked.per_device_train_batch_size; size >= 1; size--) {
    if (asked.per_device_train_batch_size % size > 0) continue;
    const { choice, phase } = await leastChange(asked.gradient_checkpointing, most, (each) =>
      sizeRollouts(model, sizes, size, each, step / size),
    );
    if (phase.peak <= most) {
      return {
        per_device_train_batch_size: size,
        gradient_accumulation_steps: step / size,
        gradient_checkpointing: choice.gradient_checkpointing,
        headLimits: choice.head,
        capacities: phase.capacities,
        bytes: phase.peak,
      };
    }
    reason =
      `training on ${size} completion${size > 1 ? 's' : ''} at a time takes ${mebibytes(phase.peak)} MiB, ` +
      `more than ${Math.floor(most / 2 ** 20)} MiB`;
    if (fixed) break;
  }
  throw new UserError(`memory: ${reason}`, 2, mends(model.lora === undefined));
}

/** How a stage finds batches that fit the memory there is, and keeps to those it was begun with. */
import type { StageSettings } from '../data/run.ts';
import { createSizingEngine } from '../engine/sizing.ts';
import type { LoraConfig } from '../model/lora.ts';
import type { PolicyOutline } from '../model/policy.ts';
import type { Batches, Space } from '../train/fit.ts';
import type { Room } from './context.ts';
import type { Progress } from './progress.ts';

/** What a model may take of a room; without `lora`, to train all of its weights. */
export function spaceFor({ device, limit }: Room, outline: PolicyOutline, lora?: LoraConfig): Space {
  const { config, formats, maxLength } = outline;
  const total = createSizingEngine(device).limits.total ?? Infinity;
  return { model: { config, device, lora, formats, maxLength }, most: Math.min(total, limit ?? Infinity) };
}

/** The batches that this training was begun with, if a step learns from as many examples as asked. */
export function earlierBatches(settings: StageSettings | undefined, asked: Batches): Batches | undefined {
  const { per_device_train_batch_size, gradient_accumulation_steps } = (settings ?? {}) as Partial<Batches>;
  if (per_device_train_batch_size === undefined || gradient_accumulation_steps === undefined)
    return undefined;
  const step = per_device_train_batch_size * gradient_accumulation_steps;
  const smaller = per_device_train_batch_size <= asked.per_device_train_batch_size;
  return smaller && step === asked.per_device_train_batch_size * asked.gradient_accumulation_steps
    ? { per_device_train_batch_size, gradient_accumulation_steps }
    : undefined;
}

/** Says so where batches are smaller than asked for; `units` is what they hold. */
export function saySmaller(progress: Progress, units: string, asked: Batches, fitted: Batches): void {
  if (fitted.per_device_train_batch_size >= asked.per_device_train_batch_size) return;
  progress.say(
    `memory: room to train on ${fitted.per_device_train_batch_size} ${units} at once, not ` +
      `${asked.per_device_train_batch_size}: a step takes ${fitted.gradient_accumulation_steps} batches`,
  );
}

/** How a stage finds batches that fit the memory there is, and keeps to those it was begun with. */
import type { StageSettings } from '../data/run.ts';
import type { LoraConfig } from '../model/lora.ts';
import type { PolicyOutline } from '../model/policy.ts';
import type { Batches } from '../train/fit.ts';
import { mostOf, roomyDevice, type Space } from '../train/memory_plan.ts';
import type { Context, Room } from './context.ts';
import type { Progress } from './progress.ts';

/** The room that there is for a run's policy beside its scorers, which stay once they have been loaded. */
export async function roomOf({ config, sources }: Pick<Context, 'config' | 'sources'>): Promise<Room> {
  const { method, reward, constraints, measures } = config;
  // The scorers of PeCAN are files of preferences.
  const own = method === 'pecan' || reward === undefined ? [] : [{ scorer: reward }, ...constraints];
  const specs = new Set([...own, ...measures].map(({ scorer }) => scorer));
  let taken = 0;
  for (const spec of specs) taken += await sources.scorerBytes(spec);
  return { ...(await sources.room()), taken };
}

/** What a model may take of a room; without `lora` it has no adapter, and all of its weights are trained. */
export function spaceFor(room: Room, outline: PolicyOutline, lora?: LoraConfig): Space {
  const { config, formats, maxLength } = outline;
  const most = mostOf(room) - (room.taken ?? 0);
  return { model: { config, device: roomyDevice(room.device, most), lora, formats, maxLength }, most };
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

/** Says so where batches are smaller than asked for; `unit` is what they hold. */
export function saySmaller(progress: Progress, unit: string, asked: Batches, fitted: Batches): void {
  const size = fitted.per_device_train_batch_size;
  if (size >= asked.per_device_train_batch_size) return;
  progress.say(
    `memory: room to train on ${size} ${unit}${size > 1 ? 's' : ''} at once, not ` +
      `${asked.per_device_train_batch_size}: a step takes ${fitted.gradient_accumulation_steps} batches`,
  );
}

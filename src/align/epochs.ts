import type { StageSettings } from '../data/run.ts';
import { createSizingEngine } from '../engine/sizing.ts';
import type { Policy, PolicyOutline } from '../model/policy.ts';
import { TRAIN_DEFAULTS, type TrainConfig, totalSteps } from '../train/config.ts';
import { type Batches, fitTraining, type Space, type TrainingKind } from '../train/fit.ts';
import type { StepMetrics, TrainHooks } from '../train/loop.ts';
import type { Split } from '../train/trainer.ts';
import type { Context, Room } from './context.ts';
import type { Product } from './products.ts';
import { runTrainingStage } from './training_stage.ts';

/** A training over a data set. */
export interface EpochTraining<T, M, P extends Policy> {
  /** Of the stage. */
  readonly name: string;
  /** Where in the run folder a file goes. */
  readonly file: (name: string) => string;
  readonly product: Product<P>;
  /** What it is made from besides its settings. */
  readonly inputs: StageSettings;
  /** As they are asked for. */
  readonly settings: Partial<TrainConfig> & Pick<TrainConfig, keyof Batches>;
  readonly note: string;
  readonly kind: TrainingKind<T>;
  readonly outline: PolicyOutline;
  examples(): Promise<Split<T>>;
  load(): Promise<P>;
  train(policy: P, examples: Split<T>, config: FittedConfig, hooks: TrainHooks<M>): Promise<void>;
  told(row: StepMetrics & M): string;
}

/** Settings as the memory there is lets them be. */
export type FittedConfig = Partial<TrainConfig> & Pick<TrainConfig, keyof Batches | 'gradient_checkpointing'>;

/**
 * Trains as a stage of the run, in batches that fit the memory there is: said, or refused, before any weight is loaded. A
 * training goes on with the batches that it was begun with.
 */
export async function runEpochs<T, M extends object, P extends Policy>(
  context: Context,
  training: EpochTraining<T, M, P>,
): Promise<void> {
  const { run, sources, progress } = context;
  const { name, file, product, settings, kind, outline } = training;
  const asked: TrainConfig = { ...TRAIN_DEFAULTS, ...settings };
  const space = async () => spaceFor(await sources.room(), outline, product as Product);
  const batches = async (): Promise<Batches & { readonly bytes?: number }> => {
    const before = earlierBatches(run.earlier(name), asked);
    if (before || (await run.hasAll(product.outputs))) return before ?? asked;
    const { train } = await training.examples();
    const fitted = await fitTraining(kind, await space(), train, asked);
    if (fitted.per_device_train_batch_size < asked.per_device_train_batch_size) {
      progress.say(
        `memory: room to train on ${fitted.per_device_train_batch_size} ${kind.unit}s at once, not ` +
          `${asked.per_device_train_batch_size}: a step takes ${fitted.gradient_accumulation_steps} batches`,
      );
    }
    return fitted;
  };
  const { per_device_train_batch_size, gradient_accumulation_steps, bytes } = await batches();
  const chosen = { ...settings, per_device_train_batch_size, gradient_accumulation_steps };
  await runTrainingStage<StepMetrics & M, P>(context, {
    name,
    file,
    product,
    settings: { ...training.inputs, ...chosen },
    note: bytes === undefined ? training.note : `${training.note}, ${Math.ceil(bytes / 2 ** 20)} MiB`,
    prepare: async () => {
      const examples = await training.examples();
      const config: TrainConfig = { ...TRAIN_DEFAULTS, ...chosen };
      const fitted = await fitTraining(kind, await space(), examples.train, config, true);
      const { gradient_checkpointing, headLimits } = fitted;
      if (gradient_checkpointing && !config.gradient_checkpointing) {
        progress.say('memory: blocks are computed again in the backward pass, to make room');
      }
      const policy = await training.load();
      return {
        policy,
        total: totalSteps(config, examples.train.length),
        train: (hooks) =>
          training.train({ ...policy, headLimits }, examples, { ...chosen, gradient_checkpointing }, hooks),
        told: training.told,
      };
    },
  });
}

function spaceFor({ device, limit }: Room, outline: PolicyOutline, { lora }: Product): Space {
  const { config, formats, maxLength } = outline;
  const total = createSizingEngine(device).limits.total ?? Infinity;
  return { model: { config, device, lora, formats, maxLength }, most: Math.min(total, limit ?? Infinity) };
}

/** The batches that this training was begun with, if a step learns from as many examples as asked. */
function earlierBatches(settings: StageSettings | undefined, asked: Batches): Batches | undefined {
  const { per_device_train_batch_size, gradient_accumulation_steps } = (settings ?? {}) as Partial<Batches>;
  if (per_device_train_batch_size === undefined || gradient_accumulation_steps === undefined)
    return undefined;
  const step = per_device_train_batch_size * gradient_accumulation_steps;
  const smaller = per_device_train_batch_size <= asked.per_device_train_batch_size;
  return smaller && step === asked.per_device_train_batch_size * asked.gradient_accumulation_steps
    ? { per_device_train_batch_size, gradient_accumulation_steps }
    : undefined;
}

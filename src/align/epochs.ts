import type { StageSettings } from '../data/run.ts';
import type { Policy, PolicyOutline } from '../model/policy.ts';
import { Workspace } from '../model/workspace.ts';
import { TRAIN_DEFAULTS, type TrainConfig, totalSteps } from '../train/config.ts';
import { type Batches, fitTraining, type TrainingKind } from '../train/fit.ts';
import type { StepMetrics, TrainHooks } from '../train/loop.ts';
import type { Trainable } from '../train/trainable.ts';
import type { Split } from '../train/trainer.ts';
import type { Context } from './context.ts';
import { earlierBatches, roomOf, saySmaller, spaceFor } from './fitting.ts';
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
  /** What is computed once before, by a stage of its own, when it is known that the training fits. */
  first?(): Promise<void>;
  train(
    policy: P,
    examples: Split<T>,
    config: FittedConfig,
    hooks: TrainHooks<M>,
    trainable: Trainable,
  ): Promise<void>;
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
  const { run, progress } = context;
  const { name, file, product, settings, kind, outline } = training;
  const asked: TrainConfig = { ...TRAIN_DEFAULTS, ...settings };
  const space = async () => spaceFor(await roomOf(context), outline, product.lora);
  const batches = async (): Promise<Batches & { readonly bytes?: number }> => {
    const before = earlierBatches(run.earlier(name), asked);
    if (before || (await run.isFinished(product.outputs))) return before ?? asked;
    const fitted = await fitTraining(kind, await space(), await training.examples(), asked);
    saySmaller(progress, kind.unit, asked, fitted);
    return fitted;
  };
  const { per_device_train_batch_size, gradient_accumulation_steps, bytes } = await batches();
  await training.first?.();
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
      const fitted = await fitTraining(kind, await space(), examples, config, true);
      const { gradient_checkpointing, headLimits, capacities } = fitted;
      if (gradient_checkpointing && !config.gradient_checkpointing) {
        progress.say('memory: blocks are computed again in the backward pass, to make room');
      }
      const policy = await product.load();
      policy.workspace.free();
      const workspace = new Workspace(policy.engine, capacities);
      return {
        policy,
        total: totalSteps(config, examples.train.length),
        train: async (hooks, trainable) => {
          const fittedPolicy = { ...policy, headLimits, workspace };
          const settings = { ...chosen, gradient_checkpointing };
          await training.train(fittedPolicy, examples, settings, hooks, trainable);
          workspace.free();
        },
        told: training.told,
      };
    },
  });
}

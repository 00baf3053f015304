import { parseJsonl, toJsonl } from '../data/jsonl.ts';
import type { StageSettings } from '../data/run.ts';
import type { Policy } from '../model/policy.ts';
import { checkpointStep } from '../train/checkpoint.ts';
import type { EvalMetrics, StepMetrics } from '../train/loop.ts';
import type { Trainable } from '../train/trainable.ts';
import { CHECKPOINT, METRICS } from './artefacts.ts';
import type { Context } from './context.ts';
import { type Product, productNote } from './products.ts';
import { runStage } from './stage.ts';

const METRICS_PARTIAL = `${METRICS}.partial`;

/** What a trainer gets: a checkpoint to go on from, and where its metrics and checkpoints go. */
export interface TrainingHooks<M> {
  readonly resume?: Uint8Array;
  readonly onMetrics: (row: M, total: number) => Promise<void>;
  readonly onEvaluation: (row: EvalMetrics) => Promise<void>;
  readonly onCheckpoint: (checkpoint: Uint8Array) => Promise<void>;
}

export interface PreparedTraining<M extends StepMetrics, P extends Policy = Policy> {
  /** From the product. */
  readonly policy: P;
  /** Steps in all. */
  readonly total: number;
  train(hooks: TrainingHooks<M>, trainable: Trainable): Promise<void>;
  /** A step's metrics in a few words. */
  told(row: M): string;
}

export interface TrainingStage<M extends StepMetrics, P extends Policy = Policy> {
  readonly name: string;
  /** Where in the run folder a file goes. */
  readonly file: (name: string) => string;
  readonly product: Product<P>;
  /** What the product depends on besides its own settings. */
  readonly settings: StageSettings;
  readonly note: string;
  /** Loads what is trained. */
  prepare(): Promise<PreparedTraining<M, P>>;
}

/** Trains as a stage of the run, which goes on from its last checkpoint. Writes the product and metrics.jsonl. */
export async function runTrainingStage<M extends StepMetrics, P extends Policy = Policy>(
  context: Context,
  { name, file, product, settings, note, prepare }: TrainingStage<M, P>,
): Promise<void> {
  const { run, progress } = context;
  await runStage(context, {
    name,
    settings: { ...settings, ...product.settings },
    outputs: [...product.outputs, file(METRICS)],
    partials: [CHECKPOINT, METRICS_PARTIAL].map(file),
    note: `${note}, ${productNote(product as Product)}`,
    work: async () => {
      const { policy, total, train, told } = await prepare();
      const trainable = product.trainable(policy);
      const resume = (await run.folder.exists(file(CHECKPOINT)))
        ? await run.folder.read(file(CHECKPOINT))
        : undefined;
      const step = resume ? checkpointStep(resume) : 0;
      await resumeMetrics(context, file(METRICS_PARTIAL), step);
      const note = async (row: object) => await run.folder.append(file(METRICS_PARTIAL), toJsonl([row]));
      progress.advance(step, total, 'steps');
      const hooks: TrainingHooks<M> = {
        resume,
        onMetrics: async (row) => {
          await note(row);
          progress.advance(row.step, total, 'steps', told(row));
        },
        onEvaluation: async (row) => {
          await note(row);
          progress.advance(row.step, total, 'steps', `held-out loss ${row.eval_loss.toFixed(4)}`);
        },
        onCheckpoint: (checkpoint) => run.folder.write(file(CHECKPOINT), checkpoint),
      };
      try {
        await train(hooks, trainable);
        policy.workspace.free();
        await product.save(policy);
      } finally {
        trainable.free();
        await product.release();
      }
      await run.folder.write(file(METRICS), await run.folder.read(file(METRICS_PARTIAL)));
      await run.folder.remove(file(METRICS_PARTIAL));
      await run.folder.remove(file(CHECKPOINT));
    },
  });
}

/** Keeps the rows up to the checkpoint's step: later ones will be made again. */
async function resumeMetrics({ run }: Context, partial: string, step: number): Promise<void> {
  const exists = step > 0 && (await run.folder.exists(partial));
  const text = exists ? await run.folder.readText(partial) : '';
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  const rows = parseJsonl(whole, partial, (row) => row as { readonly step: number });
  await run.folder.write(partial, toJsonl(rows.filter((row) => row.step <= step)));
}

import { subfolder } from '../data/folder.ts';
import { parseJsonl, toJsonl } from '../data/jsonl.ts';
import type { StageSettings } from '../data/run.ts';
import { saveAdapter } from '../model/peft.ts';
import { addAdapter, type Policy } from '../model/policy.ts';
import { checkpointStep } from '../train/checkpoint.ts';
import type { StepMetrics } from '../train/loop.ts';
import { ADAPTER, ADAPTER_FILES, CHECKPOINT, METRICS } from './artefacts.ts';
import { loraSettings, need } from './config.ts';
import type { Context } from './context.ts';
import { runStage } from './stage.ts';

const METRICS_PARTIAL = `${METRICS}.partial`;

/** What a trainer gets: a checkpoint to go on from, and where its metrics and checkpoints go. */
export interface AdapterHooks<M> {
  readonly resume?: Uint8Array;
  readonly onMetrics: (row: M, total: number) => Promise<void>;
  readonly onCheckpoint: (checkpoint: Uint8Array) => Promise<void>;
}

export interface AdapterTraining<M extends StepMetrics> {
  readonly policy: Policy;
  /** Steps in all. */
  readonly total: number;
  /** Trains the policy's adapter. */
  train(hooks: AdapterHooks<M>): Promise<void>;
  /** A step's metrics in a few words. */
  told(row: M): string;
}

export interface AdapterStage<M extends StepMetrics> {
  readonly name: string;
  /** Where in the run folder a file goes. */
  readonly file: (name: string) => string;
  /** What the adapter depends on besides LoRA's settings. */
  readonly settings: StageSettings;
  readonly note: string;
  /** Loads what is trained on; the policy's adapter follows. */
  prepare(): Promise<AdapterTraining<M>>;
}

/** Trains an adapter as a stage of the run, which goes on from its last checkpoint. Writes adapter/ (PEFT) and metrics.jsonl. */
export async function runAdapterStage<M extends StepMetrics>(
  context: Context,
  { name, file, settings, note, prepare }: AdapterStage<M>,
): Promise<void> {
  const { run, config, progress } = context;
  const lora = loraSettings(config);
  await runStage(context, {
    name,
    settings: { ...settings, ...lora },
    outputs: [...ADAPTER_FILES, METRICS].map(file),
    partials: [CHECKPOINT, METRICS_PARTIAL].map(file),
    note: `${note}, LoRA r ${lora.r}`,
    work: async () => {
      const { policy, total, train, told } = await prepare();
      const adapter = addAdapter(policy, lora, config.seed);
      const resume = (await run.folder.exists(file(CHECKPOINT)))
        ? await run.folder.read(file(CHECKPOINT))
        : undefined;
      const step = resume ? checkpointStep(resume) : 0;
      const metrics = await resumeMetrics<M>(context, file(METRICS_PARTIAL), step);
      progress.advance(metrics.length, total, 'steps');
      await train({
        resume,
        onMetrics: async (row) => {
          metrics.push(row);
          await run.folder.append(file(METRICS_PARTIAL), toJsonl([row]));
          progress.advance(row.step, total, 'steps', told(row));
        },
        onCheckpoint: (checkpoint) => run.folder.write(file(CHECKPOINT), checkpoint),
      });
      policy.workspace.free();
      const { policy: path } = need(config, 'policy');
      await saveAdapter(adapter, subfolder(run.folder, file(ADAPTER)), path);
      await run.folder.write(file(METRICS), toJsonl(metrics));
      await run.folder.remove(file(METRICS_PARTIAL));
      await run.folder.remove(file(CHECKPOINT));
    },
  });
}

/** Rows of the metrics up to the checkpoint's step: later ones will be made again. */
async function resumeMetrics<M>({ run }: Context, partial: string, step: number): Promise<M[]> {
  const exists = step > 0 && (await run.folder.exists(partial));
  const text = exists ? await run.folder.readText(partial) : '';
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  const rows = parseJsonl(whole, partial, (row) => row as M).slice(0, step);
  await run.folder.write(partial, toJsonl(rows));
  return rows;
}

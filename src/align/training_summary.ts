import { parseJsonl } from '../data/jsonl.ts';
import { METRICS } from './artefacts.ts';
import { mean } from './bootstrap.ts';
import type { Context } from './context.ts';
import { readArtefact } from './stage.ts';

type Row = Readonly<Record<string, number>>;

/** How a training on its own went. */
export interface TrainingSummary {
  readonly steps: number;
  /** Mean losses of the first and of the last tenth of the steps. */
  readonly first: number;
  readonly last: number;
  /** Metrics of the last step. */
  readonly metrics: Row;
  /** Metrics of the examples held out, from the evaluation that the result is of; absent without any. */
  readonly held?: Row;
}

/** Reads the summary from the run's metrics. */
export async function summarizeTraining(context: Context, command: string): Promise<TrainingSummary> {
  const rows = parseJsonl(await readArtefact(context, METRICS, command), METRICS, (row) => row as Row);
  const steps = rows.filter(({ loss }) => loss !== undefined);
  const evaluations = rows.filter(({ eval_loss }) => eval_loss !== undefined);
  const losses = steps.map(({ loss }) => loss);
  const tenth = Math.ceil(losses.length / 10);
  const lowest = (best: Row, row: Row) => (row.eval_loss < best.eval_loss ? row : best);
  const stops = context.config.early_stopping_patience > 0;
  const held = stops && evaluations.length > 0 ? evaluations.reduce(lowest) : evaluations.at(-1);
  return {
    steps: steps.length,
    first: mean(losses.slice(0, tenth)),
    last: mean(losses.slice(-tenth)),
    metrics: steps.at(-1)!,
    ...(held ? { held } : {}),
  };
}

import { sha256 } from '../data/hash.ts';
import { needFor } from './config.ts';
import type { ModelContext } from './context.ts';
import { trainPairs } from './pair_training.ts';
import { checkWhole, productOf } from './products.ts';
import { readPreferences, splitRows } from './split.ts';
import { summarizeTraining, type TrainingSummary } from './training_summary.ts';

/** TRL's default. */
const DEFAULT_BETA = 0.1;

/** `dualign dpo`: DPO on a file of preferences. Writes adapter/ or model/, and metrics.jsonl. */
export async function dpoAlone(context: ModelContext): Promise<TrainingSummary> {
  const { config } = context;
  const { preferences: path } = needFor('dpo', config, 'policy', 'preferences');
  const { beta = DEFAULT_BETA, eval_fraction = 0, seed, judgement } = config;
  checkWhole(config, 'dpo');
  const all = await readPreferences(context, path, judgement);
  const { train, evaluation } = splitRows(all, ({ prompt }) => prompt, eval_fraction, seed, path);
  await trainPairs(context, {
    rows: train,
    held: evaluation,
    hash: await sha256(JSON.stringify([train, evaluation])),
    beta,
    product: await productOf(context),
    name: 'dpo',
  });
  return await summarizeTraining(context, 'dpo');
}

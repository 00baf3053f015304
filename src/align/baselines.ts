/** What a run is compared with: policies aligned otherwise, by the same training on the same responses. */
import { subfolder } from '../data/folder.ts';
import { BASELINES, PAIRS } from './artefacts.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { drawFrom } from './decoding.ts';
import { evaluatePolicy } from './evaluate.ts';
import { labelPairs } from './label.ts';
import { trainPairs } from './pair_training.ts';
import type { ScoreWeights } from './pairs.ts';
import { primalDual } from './primal_dual.ts';
import { productOf } from './products.ts';
import { parsePairRows } from './rows.ts';
import { readArtefact } from './stage.ts';
import { trainedSettings } from './trained.ts';

/** Scored responses of a baseline to the held-out prompts, a file of the run folder. */
export function baselineAnswers(name: string): string {
  return `${folderOf(name)}/evaluation.jsonl`;
}

function folderOf(name: string): string {
  return `${BASELINES}/${name.replace('=', '-')}`;
}

/** Labels, trains and evaluates each baseline of the run, into a folder of its own. */
export async function baselines(context: Context): Promise<void> {
  const { run } = context;
  for (const name of context.config.baselines) {
    const folder = folderOf(name);
    const stage = name === 'helpful' || name === 'safe' ? `${name} only` : name;
    if (name === 'primal-dual') await primalDual(context, folder);
    else await trainFixed(context, name, stage, folder);
    const trained = subfolder(run.folder, folder);
    await evaluatePolicy(context, {
      name: `${stage}: evaluate`,
      path: baselineAnswers(name),
      settings: () => trainedSettings(context, trained),
      draw: (prompts, scoreRows, target) => drawFrom(context, trained, prompts, scoreRows, target),
    });
  }
}

/** Trains once, by weights that were fixed beforehand. */
async function trainFixed(context: Context, name: string, stage: string, folder: string): Promise<void> {
  const { run, config } = context;
  const { beta } = need(config, 'policy', 'beta');
  const path = `${folder}/${PAIRS}`;
  const weights = weightsOf(name, config.constraints.length);
  await labelPairs(context, { name: `${stage}: label`, path, weights });
  const rows = parsePairRows(await readArtefact(context, path, 'align'), path);
  const product = await productOf(context, folder);
  await trainPairs(context, { rows, hash: await run.hash(path), beta, name: stage, folder, product });
}

function weightsOf(name: string, constraints: number): ScoreWeights {
  const all = (weight: number) => Array.from({ length: constraints }, () => weight);
  if (name === 'safe') return { reward: 0, safety: all(1) };
  return { reward: 1, safety: all(name === 'helpful' ? 0 : Number(name.slice('weight='.length))) };
}

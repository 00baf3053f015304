/** What trainings in several rounds share: a part of the run, and training the policy on in it. */
import type { Run } from '../data/run.ts';
import { PAIRS } from './artefacts.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { labelPairs } from './label.ts';
import { trainPairs } from './pair_training.ts';
import { productOf } from './products.ts';
import { parsePairRows } from './rows.ts';
import { readArtefact } from './stage.ts';

/** The context of a part of the run. */
export function partOf(context: Context, name: string, path: string): Context {
  return { ...context, run: context.run.part(name, path) };
}

export interface NextTraining {
  readonly lambda: readonly number[];
  /** The parts whose scored responses are labelled; this one's if left out. */
  readonly of?: readonly Run[];
  /** The part whose policy is trained on; the run's own if left out. */
  readonly from?: Run;
}

/** Labels scored responses by r + λᵀg and trains on them, as stages of this part. */
export async function trainNext(context: Context, { lambda, of, from }: NextTraining): Promise<void> {
  const { run, config } = context;
  const { beta } = need(config, 'beta');
  await labelPairs(context, { name: 'label', path: PAIRS, weights: { reward: 1, safety: lambda }, of });
  const rows = parsePairRows(await readArtefact(context, PAIRS, 'align'), PAIRS);
  const product = await productOf(context, '', from?.folder);
  await trainPairs(context, { rows, hash: await run.hash(PAIRS), beta, product });
}

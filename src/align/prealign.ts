import { sha256 } from '../data/hash.ts';
import type { Judgement } from '../data/preferences.ts';
import { ADAPTER_FILES } from './artefacts.ts';
import { need, type RunConfig } from './config.ts';
import type { Context } from './context.ts';
import { trainPairs } from './pair_training.ts';
import { adapterProduct } from './products.ts';
import { readPreferences } from './split.ts';

/** A preference set of a run and the adapter that learns from it. */
export interface Prealigned {
  /** File of preferences. */
  readonly path: string;
  readonly judgement: Judgement;
  readonly name: string;
  /** Folder in the run folder. */
  readonly folder: string;
}

/** One for helpfulness, then one for each safety set. */
export function prealignedSets(config: RunConfig): Prealigned[] {
  const { reward, constraints } = need(config, 'reward');
  return [
    { path: reward, judgement: 'helpful', name: 'pre-align helpful', folder: 'prealigned/helpful' },
    ...constraints.map(
      ({ scorer }, j): Prealigned => ({
        path: scorer,
        judgement: 'safe',
        name: `pre-align safe ${j + 1}`,
        folder: `prealigned/safe-${j + 1}`,
      }),
    ),
  ];
}

/** The set's trained weights in the run folder. */
export function adapterWeights({ folder }: Prealigned): string {
  return `${folder}/${ADAPTER_FILES[1]}`;
}

/** β of the pre-alignments: that of the dual, unless given. */
export function betaPre(config: RunConfig): number {
  return config.beta_pre ?? need(config, 'beta').beta;
}

/** PeCAN step 1: DPO on each preference set at β_pre. Writes prealigned/helpful and prealigned/safe-1, …. */
export async function prealign(context: Context): Promise<void> {
  const beta = betaPre(context.config);
  for (const { path, judgement, name, folder } of prealignedSets(context.config)) {
    const rows = await readPreferences(context, path, judgement);
    const hash = await sha256(JSON.stringify(rows));
    const product = await adapterProduct(context, folder);
    await trainPairs(context, { rows, hash, beta, name, folder, product });
  }
}

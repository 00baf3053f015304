/** What trainings in several rounds share: draws from the policy as it is, and training it on. */
import { sha256 } from '../data/hash.ts';
import type { Run } from '../data/run.ts';
import { ADAPTER, ADAPTER_FILES, PAIRS, SAMPLES } from './artefacts.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { labelPairs } from './label.ts';
import { trainPairs } from './pair_training.ts';
import { adapterProduct, continuedProduct } from './products.ts';
import { parsePairRows } from './rows.ts';
import { samplePrompts, samplingSettings } from './sample.ts';
import { loadPrompts } from './split.ts';
import { readArtefact, runStage } from './stage.ts';

/** The context of a part of the run. */
export function partOf(context: Context, name: string, path: string): Context {
  return { ...context, run: context.run.part(name, path) };
}

/** K responses to each training prompt from the policy with the adapter of `from`. Writes samples.jsonl. */
export async function collectFrom(context: Context, from: Run): Promise<void> {
  const { run, config, sources } = context;
  const { policy: path } = need(config, 'policy', 'prompts');
  const { train } = await loadPrompts(context);
  const policy = sources.policy(path);
  await runStage(context, {
    name: 'collect',
    settings: {
      policy: await policy.hash(),
      adapter: await from.hash(ADAPTER_FILES[1]),
      device: await sources.engine(),
      prompts: await sha256(JSON.stringify(train)),
      ...samplingSettings(config),
    },
    outputs: [SAMPLES],
    partials: [`${SAMPLES}.partial`],
    note: `${config.responses} responses to each of ${train.length} prompts`,
    work: async () => {
      const loaded = await policy.load();
      await sources.useAdapter(loaded, `${from.folder.name}/${ADAPTER}`);
      // Fresh random numbers in every part.
      const target = { purpose: run.stageName('collect'), path: SAMPLES, adapter: true };
      await samplePrompts(context, loaded, train, target);
    },
  });
}

export interface NextTraining {
  readonly lambda: readonly number[];
  /** The parts whose scored responses are labelled; this one's if left out. */
  readonly of?: readonly Run[];
  /** The part whose adapter is trained on; a new one if left out. */
  readonly from?: Run;
}

/** Labels scored responses by r + λᵀg and trains on them, as stages of this part. */
export async function trainNext(context: Context, { lambda, of, from }: NextTraining): Promise<void> {
  const { run, config } = context;
  const { beta } = need(config, 'beta');
  await labelPairs(context, { name: 'label', path: PAIRS, weights: { reward: 1, safety: lambda }, of });
  const rows = parsePairRows(await readArtefact(context, PAIRS, 'align'), PAIRS);
  const product = from ? await continuedProduct(context, from) : adapterProduct(context, (file) => file);
  await trainPairs(context, { rows, hash: await run.hash(PAIRS), beta, product });
}

/** What a run is compared with: policies aligned to one goal alone, by the same training on the same responses. */
import { ADAPTER, ADAPTER_FILES, BASELINES, PAIRS } from './artefacts.ts';
import { need, type RunConfig } from './config.ts';
import type { Context } from './context.ts';
import { drawFrom } from './decoding.ts';
import { evaluatePolicy } from './evaluate.ts';
import { labelPairs } from './label.ts';
import { trainPairs } from './pair_training.ts';
import { adapterProduct } from './products.ts';
import { parsePairRows } from './rows.ts';
import { readArtefact } from './stage.ts';

/** `helpful`: labels by the reward alone, DPO without a constraint. `safe`: by safety alone. */
export type Baseline = RunConfig['baselines'][number];

/** Scored responses of a baseline to the held-out prompts, a file of the run folder. */
export function baselineAnswers(name: Baseline): string {
  return `${BASELINES}/${name}/evaluation.jsonl`;
}

/** Labels, trains and evaluates each baseline of the run. Writes baselines/helpful and baselines/safe. */
export async function baselines(context: Context): Promise<void> {
  const { run, config } = context;
  const { beta } = need(config, 'policy', 'beta');
  for (const name of config.baselines) {
    const stage = `${name} only`;
    const folder = `${BASELINES}/${name}`;
    const pairs = `${folder}/${PAIRS}`;
    const prices = config.constraints.map(() => (name === 'safe' ? 1 : 0));
    await labelPairs(context, {
      name: `${stage}: label`,
      path: pairs,
      weights: { reward: name === 'safe' ? 0 : 1, safety: prices },
    });
    const rows = parsePairRows(await readArtefact(context, pairs, 'align'), pairs);
    const product = adapterProduct(context, (file) => `${folder}/${file}`);
    await trainPairs(context, { rows, hash: await run.hash(pairs), beta, name: stage, folder, product });
    await evaluatePolicy(context, {
      name: `${stage}: evaluate`,
      path: baselineAnswers(name),
      settings: async () => ({ adapter: await run.hash(`${folder}/${ADAPTER_FILES[1]}`) }),
      draw: (policy, prompts, scoreRows, target) =>
        drawFrom(context, `${folder}/${ADAPTER}`, policy, prompts, scoreRows, target),
    });
  }
}

import { PAIRS } from './artefacts.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { readDual } from './dual.ts';
import { trainOnPolicy } from './on_policy.ts';
import { trainPairs } from './pair_training.ts';
import { checkWhole, productOf } from './products.ts';
import { trainRounds } from './rounds.ts';
import { parsePairRows } from './rows.ts';
import { loadPrompts } from './split.ts';
import { readArtefact } from './stage.ts';

/**
 * MoCAN step 5: DPO on the pairs against the reference policy, or, by the setting `trainer`, policy gradients on r + λ*ᵀg.
 * Writes adapter/ (PEFT), or model/ by the setting `full`, and metrics.jsonl.
 */
export async function train(context: Context): Promise<void> {
  const { beta, trainer, rounds } = need(context.config, 'policy', 'beta');
  checkWhole(context.config, 'train');
  if (rounds > 1) {
    await trainRounds(context);
    return;
  }
  if (trainer !== 'dpo') {
    const { lambda } = await readDual(context);
    const { train: prompts } = await loadPrompts(context);
    const product = await productOf(context);
    await trainOnPolicy(context, { name: 'train', trainer, prompts, lambda, beta, product });
    return;
  }
  const rows = parsePairRows(await readArtefact(context, PAIRS, 'label'), PAIRS);
  const hash = await context.run.hash(PAIRS);
  await trainPairs(context, { rows, hash, beta, product: await productOf(context) });
}

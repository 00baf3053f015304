/** Scores by pre-aligned policies: how much likelier each makes a response than the reference does. */
import { subfolder } from '../data/folder.ts';
import { sequenceLogps } from '../model/logps.ts';
import { loadAdapter } from '../model/peft.ts';
import type { PolicyOutline } from '../model/policy.ts';
import { fitLogps } from '../train/memory_plan.ts';
import { ADAPTER } from './artefacts.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { encodePrompt, encodeResponse } from './encode.ts';
import { roomOf, spaceFor } from './fitting.ts';
import { adapterWeights, betaPre, prealignedSets } from './prealign.ts';
import type { ScoreRows, TextRow } from './score.ts';
import { adapterSettings } from './train_settings.ts';

/** What the scores depend on besides the texts. */
export async function implicitSettings({ config, run, sources }: Context): Promise<Record<string, unknown>> {
  const { policy } = need(config, 'policy');
  return {
    policy: await sources.policy(policy).hash(),
    device: await sources.engine(),
    beta_pre: betaPre(config),
    prealigned: await Promise.all(prealignedSets(config).map((set) => run.whole.hash(adapterWeights(set)))),
  };
}

/** Bytes that it takes to score these: refused where there is no room, before any weight is loaded. */
export async function planImplicit({ config, sources }: Context, rows: readonly TextRow[]): Promise<number> {
  const outline = await sources.outline(need(config, 'policy').policy);
  const longest = rows.reduce((most, row) => {
    const { promptIds, completionIds } = completionOf(outline, row);
    return Math.max(most, promptIds.length + completionIds.length);
  }, 1);
  return await fitLogps(
    spaceFor(await roomOf({ config, sources }), outline, adapterSettings(config)),
    longest,
  );
}

/**
 * PeCAN step 2: reward β_pre·log π_r/π_ref and safety β_pre·log π_gj/π_ref of each response, log-probabilities summed over
 * its tokens. The mean of −safety_j/β_pre over reference samples estimates KL(π_ref‖π_gj), so that a margin over the
 * reference mean is PeCAN's threshold b_j.
 */
export function implicitScores({ config, run, sources }: Context): ScoreRows {
  const source = sources.policy(need(config, 'policy').policy);
  const beta = betaPre(config);
  return async (rows, given) => {
    const policy = given ?? (await source.load());
    const completions = rows.map((row) => completionOf(policy, row));
    const current = policy.adapter;
    const reference = await sequenceLogps(policy, completions, { adapter: false });
    const scores: Float64Array[] = [];
    for (const { folder } of prealignedSets(config)) {
      const adapter = await loadAdapter(
        policy.engine,
        policy.config,
        subfolder(run.whole.folder, `${folder}/${ADAPTER}`),
      );
      try {
        policy.adapter = adapter;
        const logps = await sequenceLogps(policy, completions);
        scores.push(Float64Array.from(logps, (logp, index) => beta * (logp - reference[index])));
      } finally {
        policy.adapter = current;
        adapter.free();
      }
    }
    const [reward, ...safety] = scores;
    return rows.map((_, index) => ({ reward: reward[index], safety: safety.map((column) => column[index]) }));
  };
}

function completionOf(
  policy: Pick<PolicyOutline, 'tokenizer' | 'chatTemplate' | 'name' | 'endId' | 'eosIds'>,
  { prompt, response, prompt_ids, response_ids }: TextRow,
) {
  if (prompt_ids && response_ids) return { promptIds: prompt_ids, completionIds: response_ids };
  const promptIds = encodePrompt(policy, prompt);
  return { promptIds, completionIds: encodeResponse(policy, prompt, promptIds, response, false) };
}

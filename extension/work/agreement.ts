/** Judgements kept aside, as the learned preferences see them. */

import type { Context } from '../../src/align/context.ts';
import { encodePrompt, encodeResponse } from '../../src/align/encode.ts';
import { prealignedSets } from '../../src/align/prealign.ts';
import { subfolder } from '../../src/data/folder.ts';
import type { Preference } from '../../src/data/preferences.ts';
import { sequenceLogps } from '../../src/model/logps.ts';
import { loadAdapter } from '../../src/model/peft.ts';
import type { Policy } from '../../src/model/policy.ts';
import type { Agreement } from '../shared/state.ts';

const Z = 1.959964;

/** How often the learned preference is for the answer that was judged better: log π_g/π_ref is higher for it. */
export async function agreementWith(
  { run, config }: Context,
  policy: Policy,
  set: number,
  judgements: readonly Preference[],
): Promise<Agreement | undefined> {
  const completions = judgements.flatMap(({ prompt, chosen, rejected }) => {
    const promptIds = encodePrompt(policy, prompt);
    return [chosen, rejected].map((text) => ({
      promptIds,
      completionIds: encodeResponse(policy, prompt, promptIds, text, true),
    }));
  });
  const fits = ({ promptIds, completionIds }: (typeof completions)[number]) =>
    promptIds.length + completionIds.length <= policy.maxLength;
  const fitting = completions.filter((_, i) => fits(completions[i & ~1]) && fits(completions[i | 1]));
  if (fitting.length === 0) return undefined;
  const { folder } = prealignedSets(config)[set];
  const adapter = await loadAdapter(policy.engine, policy.config, subfolder(run.folder, `${folder}/adapter`));
  const before = policy.adapter;
  try {
    const reference = await sequenceLogps(policy, fitting, { adapter: false });
    policy.adapter = adapter;
    const learned = await sequenceLogps(policy, fitting);
    const ratio = (i: number) => learned[i] - reference[i];
    let right = 0;
    for (let i = 0; i < fitting.length; i += 2) if (ratio(i) > ratio(i + 1)) right++;
    const total = fitting.length / 2;
    return { right, total, interval: wilson(right, total) };
  } finally {
    policy.adapter = before;
    adapter.free();
  }
}

/** Wilson's interval of a share (Wilson 1927). */
function wilson(right: number, total: number): [number, number] {
  const share = right / total;
  const z = Z * Z;
  const centre = (share + z / (2 * total)) / (1 + z / total);
  const half = (Z / (1 + z / total)) * Math.sqrt((share * (1 - share)) / total + z / (4 * total * total));
  return [centre - half, centre + half];
}

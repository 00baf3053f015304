import { sha256 } from '../data/hash.ts';
import { SAMPLES, SCORES } from './artefacts.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { samplePrompts, samplingSettings } from './sample.ts';
import { loadPrompts } from './split.ts';
import { runStage } from './stage.ts';

/** MoCAN step 1: K responses per prompt from the reference policy. Writes samples.jsonl. */
export async function collect(context: Context): Promise<void> {
  const { run, config, sources, progress } = context;
  // Scores that the user put there carry their own responses.
  if (await run.isGiven('score', SCORES)) return;
  const { policy: path } = need(config, 'policy', 'prompts');
  const { train } = await loadPrompts(context);
  const policy = sources.policy(path);
  await runStage(context, {
    name: 'collect',
    settings: {
      policy: await policy.hash(),
      device: await sources.engine(),
      prompts: await sha256(JSON.stringify(train)),
      ...samplingSettings(config),
    },
    outputs: [SAMPLES],
    partials: [`${SAMPLES}.partial`],
    note: `${config.responses} responses to each of ${train.length} prompts`,
    work: async () => {
      const target = { purpose: 'collect', path: SAMPLES, adapter: false };
      const loaded = await policy.load();
      if (loaded.chatTemplate && train.some((prompt) => typeof prompt === 'string')) {
        progress.say(
          '  The model has a chat template, but prompts are plain text: see --chat-template always.',
        );
      }
      await samplePrompts(context, loaded, train, target);
    },
  });
}

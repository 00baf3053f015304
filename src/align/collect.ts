import { sha256 } from '../data/hash.ts';
import type { Run } from '../data/run.ts';
import { once } from '../once.ts';
import { SAMPLES, SCORES } from './artefacts.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { planSampling, samplePrompts, samplingSettings } from './sample.ts';
import { loadPrompts } from './split.ts';
import { runStage } from './stage.ts';
import { trainedSettings, withTrained } from './trained.ts';

/** MoCAN step 1: K responses per prompt from the reference policy. Writes samples.jsonl. */
export async function collect(context: Context): Promise<void> {
  // Scores that the user put there carry their own responses.
  if (await context.run.isGiven('score', SCORES)) return;
  await draw(context);
}

/** K responses to each training prompt from the policy that `from` trained. Writes samples.jsonl. */
export async function collectFrom(context: Context, from: Run): Promise<void> {
  await draw(context, from);
}

async function draw(context: Context, from?: Run): Promise<void> {
  const { run, config, sources, progress } = context;
  const { policy: path } = need(config, 'policy', 'prompts');
  const { train } = await loadPrompts(context);
  const policy = sources.policy(path);
  const plan = once(() => planSampling(context, train, { adapter: from !== undefined }));
  await runStage(context, {
    name: 'collect',
    settings: {
      policy: await policy.hash(),
      ...(from && (await trainedSettings(context, from.folder))),
      device: await sources.engine(),
      prompts: await sha256(JSON.stringify(train)),
      ...samplingSettings(config),
    },
    outputs: [SAMPLES],
    partials: [`${SAMPLES}.partial`],
    note: async () =>
      `${config.responses} responses to each of ${train.length} prompts, ${(await plan()).told}`,
    work: async () => {
      // Fresh random numbers in every part of a run.
      const purpose = from ? run.stageName('collect') : 'collect';
      const target = { purpose, path: SAMPLES, adapter: from !== undefined, ...(await plan()) };
      if (from) {
        await withTrained(context, from.folder, (trained) => samplePrompts(context, trained, train, target));
        return;
      }
      const loaded = await policy.load();
      if (loaded.chatTemplate && train.some((prompt) => typeof prompt === 'string')) {
        progress.say('  The model has a chat template, but prompts are plain text', [
          'to ask them through it, say --chat-template always',
        ]);
      }
      await samplePrompts(context, loaded, train, target);
    },
  });
}

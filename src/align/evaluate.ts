import { sha256 } from '../data/hash.ts';
import { toJsonl } from '../data/jsonl.ts';
import type { Evaluation } from '../report/data.ts';
import { EVALUATION, EVALUATION_ALIGNED, EVALUATION_REFERENCE } from './artefacts.ts';
import { compare } from './compare.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { decodingSettings, drawAligned } from './decoding.ts';
import { readDual } from './dual.ts';
import { type EvaluationRow, parseEvaluationRows } from './rows.ts';
import { type SampleTarget, samplePrompts, samplingSettings } from './sample.ts';
import { loadScorers, scorerSettings, scoreSamples } from './score.ts';
import { loadPrompts } from './split.ts';
import { readArtefact, runStage } from './stage.ts';

/**
 * MoCAN step 6: responses of the reference and of the aligned policy to held-out prompts, drawn with the same random
 * numbers, scored and compared with each other and with what λ* predicted. Writes evaluation.json and the samples.
 */
export async function evaluate(context: Context): Promise<Evaluation> {
  const { run } = context;
  const dual = await readDual(context);
  await drawAndScore(context, EVALUATION_REFERENCE, false);
  await drawAndScore(context, EVALUATION_ALIGNED, true);
  await runStage(context, {
    name: 'evaluate',
    settings: {
      dual: { lambda: dual.lambda, beta: dual.beta, limits: dual.limits },
      seed: context.config.seed,
      reference: await run.hash(EVALUATION_REFERENCE),
      aligned: await run.hash(EVALUATION_ALIGNED),
    },
    outputs: [EVALUATION],
    work: async () => {
      const { reference, aligned } = await readEvaluationRows(context);
      const evaluation = await compare(dual, reference, aligned, context.config.seed);
      await run.folder.write(EVALUATION, `${JSON.stringify(evaluation, null, 2)}\n`);
    },
  });
  return JSON.parse(await readArtefact(context, EVALUATION, 'evaluate')) as Evaluation;
}

export async function readEvaluationRows(context: Context) {
  const { constraints } = context.config;
  const read = async (file: string) =>
    parseEvaluationRows(await readArtefact(context, file, 'evaluate'), file, constraints.length);
  return { reference: await read(EVALUATION_REFERENCE), aligned: await read(EVALUATION_ALIGNED) };
}

async function drawAndScore(context: Context, file: string, isAligned: boolean): Promise<void> {
  const { run, config, sources } = context;
  const { policy: path } = need(config, 'policy', 'prompts', 'reward');
  const { evaluation: prompts } = await loadPrompts(context);
  const samples = file.replace('.jsonl', '_samples.jsonl');
  const target: SampleTarget = { purpose: 'evaluate', path: samples, adapter: false };
  await runStage(context, {
    name: isAligned ? 'evaluate aligned' : 'evaluate reference',
    settings: {
      policy: await sources.policy(path).hash(),
      device: await sources.engine(),
      prompts: await sha256(JSON.stringify(prompts)),
      ...(isAligned ? await decodingSettings(context) : {}),
      ...samplingSettings(config),
      ...(await scorerSettings(context)),
    },
    outputs: [file],
    partials: [samples, `${samples}.partial`],
    note: `${config.responses} responses to each of ${prompts.length} held-out prompts`,
    work: async () => {
      const policy = await sources.policy(path).load();
      const scoreRows = await loadScorers(context);
      const rows = isAligned
        ? await drawAligned(context, policy, prompts, scoreRows, target)
        : await scoreSamples(await samplePrompts(context, policy, prompts, target), scoreRows);
      await run.folder.write(file, toJsonl(rows satisfies EvaluationRow[]));
      await run.folder.remove(samples);
    },
  });
}

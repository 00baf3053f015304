import { sha256 } from '../data/hash.ts';
import { toJsonl } from '../data/jsonl.ts';
import { sequenceLogps } from '../model/logps.ts';
import type { Policy } from '../model/policy.ts';
import type { Evaluation } from '../report/data.ts';
import { ADAPTER, ADAPTER_FILES, EVALUATION, EVALUATION_ALIGNED, EVALUATION_REFERENCE } from './artefacts.ts';
import { compare } from './compare.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { readDual } from './dual.ts';
import { type EvaluationRow, parseEvaluationRows, type SampleRow } from './rows.ts';
import { type SampleTarget, samplePrompts, samplingSettings } from './sample.ts';
import { loadScorers, scorerSettings } from './score.ts';
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

async function drawAndScore(context: Context, file: string, adapter: boolean): Promise<void> {
  const { run, config, sources } = context;
  const { policy: path } = need(config, 'policy', 'prompts', 'reward');
  const { evaluation: prompts } = await loadPrompts(context);
  const samples = file.replace('.jsonl', '_samples.jsonl');
  const target: SampleTarget = { purpose: 'evaluate', path: samples, adapter };
  await runStage(context, {
    name: adapter ? 'evaluate aligned' : 'evaluate reference',
    settings: {
      policy: await sources.policy(path).hash(),
      device: await sources.engine(),
      prompts: await sha256(JSON.stringify(prompts)),
      ...(adapter ? { adapter: await run.hash(ADAPTER_FILES[1]) } : {}),
      ...samplingSettings(config),
      ...(await scorerSettings(context)),
    },
    outputs: [file],
    partials: [samples, `${samples}.partial`],
    note: `${config.responses} responses to each of ${prompts.length} held-out prompts`,
    work: async () => {
      const policy = await sources.policy(path).load();
      if (adapter) await sources.useAdapter(policy, `${run.folder.name}/${ADAPTER}`);
      const rows = await samplePrompts(context, policy, prompts, target);
      const scoreRows = await loadScorers(context);
      const scores = await scoreRows(rows);
      const logps = adapter ? await bothLogps(policy, rows) : undefined;
      const scored = rows.map(({ prompt, response }, index) => ({
        prompt,
        response,
        ...scores[index],
        ...(logps ? { logps: logps[index] } : {}),
      }));
      await run.folder.write(file, toJsonl(scored satisfies EvaluationRow[]));
      await run.folder.remove(samples);
    },
  });
}

/** log π(y|x) under the aligned policy, known from the sampling, and under the reference, for the KL divergence. */
async function bothLogps(policy: Policy, rows: readonly SampleRow[]): Promise<[number, number][]> {
  const completions = rows.map((row) => ({ promptIds: row.prompt_ids, completionIds: row.response_ids }));
  const reference = await sequenceLogps(policy, completions, { adapter: false });
  return rows.map(({ logp }, index) => [logp!, reference[index]]);
}

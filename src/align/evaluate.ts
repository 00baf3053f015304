import { sha256 } from '../data/hash.ts';
import { toJsonl } from '../data/jsonl.ts';
import type { Prompt } from '../data/messages.ts';
import { once } from '../once.ts';
import type { Evaluation } from '../report/data.ts';
import { EVALUATION, EVALUATION_ALIGNED, EVALUATION_REFERENCE } from './artefacts.ts';
import { compare } from './compare.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { decodingSettings, drawAligned, sampledPolicy } from './decoding.ts';
import { readDual } from './dual.ts';
import { evaluateRounds } from './rounds_evaluation.ts';
import { type EvaluationRow, parseEvaluationRows } from './rows.ts';
import {
  planSampling,
  type SampledPolicy,
  type SampleTarget,
  samplePrompts,
  samplingSettings,
} from './sample.ts';
import { loadScorers, type ScoreRows, scorerSettings, scoreSamples } from './score.ts';
import { loadPrompts } from './split.ts';
import { readArtefact, runStage } from './stage.ts';

/**
 * MoCAN step 6: responses of the reference and of the aligned policy to held-out prompts, drawn with the same random
 * numbers, scored and compared with each other and with what λ* predicted. Writes evaluation.json and the samples.
 */
export async function evaluate(context: Context): Promise<Evaluation> {
  const { run } = context;
  const dual = await readDual(context);
  await evaluateReference(context);
  await evaluatePolicy(context, {
    name: 'evaluate aligned',
    path: EVALUATION_ALIGNED,
    sampled: sampledPolicy(context),
    settings: () => decodingSettings(context),
    draw: (prompts, scoreRows, target) => drawAligned(context, prompts, scoreRows, target),
  });
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
  if (context.config.rounds > 1) await evaluateRounds(context);
  return JSON.parse(await readArtefact(context, EVALUATION, 'evaluate')) as Evaluation;
}

/** Responses of the reference to held-out prompts. */
export async function evaluateReference(context: Context): Promise<void> {
  await evaluatePolicy(context, {
    name: 'evaluate reference',
    path: EVALUATION_REFERENCE,
    sampled: { adapter: false },
    settings: async () => ({}),
    draw: async (prompts, scoreRows, target) => {
      const { policy: path } = need(context.config, 'policy');
      const policy = await context.sources.policy(path).load();
      return await scoreSamples(await samplePrompts(context, policy, prompts, target), scoreRows);
    },
  });
}

export async function readEvaluationRows(context: Context) {
  const { constraints } = context.config;
  const read = async (file: string) =>
    parseEvaluationRows(await readArtefact(context, file, 'evaluate'), file, constraints.length);
  return { reference: await read(EVALUATION_REFERENCE), aligned: await read(EVALUATION_ALIGNED) };
}

/** A policy to evaluate on the held-out prompts. */
export interface EvaluationTarget {
  /** Of the stage. */
  readonly name: string;
  /** Of its scored responses, in the run folder. */
  readonly path: string;
  /** The policy with an adapter by default. */
  readonly sampled?: SampledPolicy;
  /** What its answers depend on, besides the policy, the scorers and how is sampled. */
  settings(): Promise<Record<string, unknown>>;
  draw(prompts: readonly Prompt[], scoreRows: ScoreRows, target: SampleTarget): Promise<EvaluationRow[]>;
}

/** Draws and scores K responses of a policy to each held-out prompt. */
export async function evaluatePolicy(context: Context, evaluated: EvaluationTarget): Promise<void> {
  const { run, config, sources } = context;
  const { policy: source } = need(config, 'policy', 'prompts', 'reward');
  const { evaluation: prompts } = await loadPrompts(context);
  const { name, path, sampled = { adapter: true } } = evaluated;
  const plan = once(() => planSampling(context, prompts, sampled));
  const samples = path.replace('.jsonl', '_samples.jsonl');
  await runStage(context, {
    name,
    settings: {
      policy: await sources.policy(source).hash(),
      device: await sources.engine(),
      prompts: await sha256(JSON.stringify(prompts)),
      ...(await evaluated.settings()),
      ...samplingSettings(config),
      ...(await scorerSettings(context)),
    },
    outputs: [path],
    partials: [samples, `${samples}.partial`],
    note: async () =>
      `${config.responses} responses to each of ${prompts.length} held-out prompts, ${(await plan()).told}`,
    work: async () => {
      const scoreRows = await loadScorers(context);
      const target: SampleTarget = { purpose: 'evaluate', path: samples, adapter: false, ...(await plan()) };
      const rows = await evaluated.draw(prompts, scoreRows, target);
      await run.folder.write(path, toJsonl(rows));
      await run.folder.remove(samples);
    },
  });
}

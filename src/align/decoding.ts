/** Answers of the aligned policy: sampled from its trained adapter, or made from λ* alone, without training. */
import { subfolder, type WritableFolder } from '../data/folder.ts';
import type { Prompt } from '../data/messages.ts';
import type { MixtureTerm } from '../model/generate.ts';
import { sequenceLogps } from '../model/logps.ts';
import { loadAdapter } from '../model/peft.ts';
import type { Policy } from '../model/policy.ts';
import type { Random } from '../random.ts';
import { loadWasm } from '../wasm.ts';
import { ADAPTER } from './artefacts.ts';
import { checkDecoding, need } from './config.ts';
import type { Context } from './context.ts';
import { readDual, type SolvedRunDual } from './dual.ts';
import { betaPre, prealignedSets } from './prealign.ts';
import { type EvaluationRow, groupByPrompt, type SampleRow } from './rows.ts';
import { type SampledPolicy, type SampleTarget, samplePrompts } from './sample.ts';
import { type Scored, type ScoreRows, scoreSamples } from './score.ts';
import { trainedSettings, withTrained } from './trained.ts';

/** What the aligned policy's answers depend on, besides the policy, the scorers and how is sampled. */
export async function decodingSettings(context: Context): Promise<Record<string, unknown>> {
  const { run, config } = context;
  if (config.decoding === 'adapter') return await trainedSettings(context, run.folder);
  checkDecoding(config);
  const { lambda, beta } = await readDual(context);
  return { decoding: config.decoding, lambda, beta };
}

/** What the aligned policy's answers are sampled from. */
export function sampledPolicy({ config }: Pick<Context, 'config'>): SampledPolicy {
  if (config.decoding === 'mix') return { adapter: true, parts: 1 + prealignedSets(config).length };
  return { adapter: config.decoding === 'adapter' };
}

/** K scored responses of the aligned policy to each prompt; see `decoding` of the configuration. */
export async function drawAligned(
  context: Context,
  prompts: readonly Prompt[],
  scoreRows: ScoreRows,
  target: SampleTarget,
): Promise<EvaluationRow[]> {
  const { run, config } = context;
  if (config.decoding === 'adapter') {
    return await drawFrom(context, run.folder, prompts, scoreRows, target);
  }
  const policy = await loadReference(context);
  if (config.decoding === 'resample') {
    // Other candidates than the reference's own samples, which made the prediction.
    const candidates = await samplePrompts(context, policy, prompts, { ...target, purpose: 'resample' });
    const scored = await scoreSamples(candidates, scoreRows);
    const { lambda, beta } = await readDual(context);
    const { exp } = await loadWasm();
    return groupByPrompt(scored).flatMap((group) => {
      const weights = resamplingWeights(group, lambda, beta, exp);
      return group.map((row, k) => ({ ...row, weight: weights[k] }));
    });
  }
  const mixture = await mixtureOf(context, policy, await readDual(context));
  try {
    return await scoredWithLogps(
      context,
      await samplePrompts(context, policy, prompts, { ...target, mixture }),
      scoreRows,
    );
  } finally {
    for (const { adapter } of mixture) adapter?.free();
  }
}

/** K scored responses to each prompt of the policy that was trained in a folder. */
export async function drawFrom(
  context: Context,
  folder: WritableFolder,
  prompts: readonly Prompt[],
  scoreRows: ScoreRows,
  target: SampleTarget,
): Promise<EvaluationRow[]> {
  const rows = await withTrained(context, folder, (policy) =>
    samplePrompts(context, policy, prompts, { ...target, adapter: true }),
  );
  return await scoredWithLogps(context, rows, scoreRows);
}

async function scoredWithLogps(
  context: Context,
  rows: readonly SampleRow[],
  scoreRows: ScoreRows,
): Promise<EvaluationRow[]> {
  const scored = await scoreSamples(rows, scoreRows);
  const logps = await bothLogps(await loadReference(context), rows);
  return scored.map((row, index) => ({ ...row, logps: logps[index] }));
}

async function loadReference({ config, sources }: Context): Promise<Policy> {
  return await sources.policy(need(config, 'policy').policy).load();
}

/**
 * Probability of each of one prompt's responses, drawn from the reference, to be the answer: in proportion to
 * exp((r + λᵀg)/β), which turns samples of the reference into samples of the optimal policy as their number grows.
 */
export function resamplingWeights(
  group: readonly Scored[],
  lambda: readonly number[],
  beta: number,
  exp: (x: number) => number,
): number[] {
  const logits = group.map(
    ({ reward, safety }) => safety.reduce((sum, g, j) => sum + lambda[j] * g, reward) / beta,
  );
  const most = logits.reduce((a, b) => Math.max(a, b));
  const masses = logits.map((logit) => exp(logit - most));
  const total = masses.reduce((sum, mass) => sum + mass, 0);
  return masses.map((mass) => mass / total);
}

/** An index drawn with these probabilities. */
export function drawIndex(weights: readonly number[], random: Random): number {
  let left = random.uniform();
  for (const [index, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return index;
  }
  return weights.length - 1;
}

/**
 * PeCAN's optimal policy π_ref·(π_r/π_ref)^c·Π_j (π_gj/π_ref)^(c·λ_j), c = β_pre/β, normalized token by token in place of
 * response by response: softmax over tokens of the pre-aligned policies' mixed logits.
 */
export async function mixtureOf(
  { config, run }: Context,
  policy: Policy,
  { lambda, beta }: SolvedRunDual,
): Promise<MixtureTerm[]> {
  const ratio = betaPre(config) / beta;
  const factors = [ratio, ...lambda.map((price) => ratio * price)];
  const terms: MixtureTerm[] = [
    { adapter: undefined, factor: factors.reduce((left, factor) => left - factor, 1) },
  ];
  for (const [index, { folder }] of prealignedSets(config).entries()) {
    // A constraint without a price leaves its policy out.
    if (factors[index] === 0) continue;
    const files = subfolder(run.folder, `${folder}/${ADAPTER}`);
    terms.push({
      adapter: await loadAdapter(policy.engine, policy.config, files),
      factor: factors[index],
    });
  }
  return terms;
}

/** log π(y|x) under the aligned policy, known from the sampling, and under the reference, for the KL divergence. */
async function bothLogps(policy: Policy, rows: readonly SampleRow[]): Promise<[number, number][]> {
  const completions = rows.map((row) => ({ promptIds: row.prompt_ids, completionIds: row.response_ids }));
  const reference = await sequenceLogps(policy, completions, { adapter: false });
  return rows.map(({ logp }, index) => [logp!, reference[index]]);
}

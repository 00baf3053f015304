import { BlockLog } from '../data/jsonl.ts';
import type { Prompt } from '../data/messages.ts';
import { type Generation, generate, type MixtureTerm, responseText } from '../model/generate.ts';
import type { Policy } from '../model/policy.ts';
import { keyOf } from '../random.ts';
import { fitSampling } from '../train/memory_plan.ts';
import { need, type RunConfig } from './config.ts';
import type { Context } from './context.ts';
import { encodePrompt } from './encode.ts';
import { roomOf, spaceFor } from './fitting.ts';
import type { SampleRow } from './rows.ts';
import { adapterSettings } from './train_settings.ts';

/** The settings that decide what is sampled; how many rows go at once does not. */
export function samplingSettings(config: RunConfig): Record<string, unknown> {
  const { seed, responses, max_new_tokens, temperature, top_k, top_p, repetition_penalty, stop } = config;
  return { seed, responses, max_new_tokens, temperature, top_k, top_p, repetition_penalty, stop };
}

/**
 * Settings under which responses come from another distribution than the policy's own, such as "temperature 0.7";
 * none when they are the policy's. A stop string only says where a response ends.
 */
export function tiltedSettings(config: RunConfig): string[] {
  const { temperature, top_k, top_p, repetition_penalty } = config;
  return [
    ...(temperature === 1 ? [] : [`temperature ${temperature}`]),
    ...(top_k === 0 ? [] : [`top-k ${top_k}`]),
    ...(top_p === 1 ? [] : [`top-p ${top_p}`]),
    ...(repetition_penalty === 1 ? [] : [`repetition penalty ${repetition_penalty}`]),
  ];
}

export interface SampleTarget {
  /** Names the random stream. */
  readonly purpose: string;
  /** File of the run folder. */
  readonly path: string;
  /** False for the reference policy. */
  readonly adapter: boolean;
  /** In place of one policy. */
  readonly mixture?: readonly MixtureTerm[];
  /** Most responses at once: what `planSampling` found. */
  readonly batchSize: number;
}

/** What is sampled from: with an adapter or without; so many policies that draw each token together, one by default. */
export interface SampledPolicy {
  readonly adapter: boolean;
  readonly parts?: number;
}

export interface SamplingPlan {
  readonly batchSize: number;
  /** In a few words. */
  readonly told: string;
}

/**
 * How many responses there is room to sample at once, up to the setting: said, or refused, before any weight is loaded.
 * Results do not depend on it. All prompts have `responses` together.
 */
export async function planSampling(
  { config, sources, progress }: Omit<Context, 'run'>,
  prompts: readonly Prompt[],
  { adapter, parts = 1 }: SampledPolicy,
  responses: number = prompts.length * config.responses,
): Promise<SamplingPlan> {
  const { policy } = need(config, 'policy');
  const outline = await sources.outline(policy);
  const lengths = prompts.map((prompt) => encodePrompt(outline, prompt).length);
  const space = spaceFor(
    await roomOf({ config, sources }),
    outline,
    adapter && !config.full ? adapterSettings(config) : undefined,
  );
  const asked = Math.min(config.generation_batch_size, responses);
  const { batch, bytes } = await fitSampling(space, {
    promptTokens: lengths.reduce((longest, length) => Math.max(longest, length), 1),
    newTokens: config.max_new_tokens,
    responses: config.responses,
    repetitionPenalty: config.repetition_penalty,
    parts,
    asked,
  });
  if (batch < asked) progress.say(`memory: room to sample ${batch} at once, not ${asked}`);
  return { batchSize: batch, told: `${batch} at once, ${Math.ceil(bytes / 2 ** 20)} MiB` };
}

/**
 * Draws K responses to each prompt into a file of the run folder, a block of prompts at a time; a killed run goes on
 * after the last whole block.
 */
export async function samplePrompts(
  { run, config, progress }: Context,
  policy: Policy,
  prompts: readonly Prompt[],
  target: SampleTarget,
): Promise<SampleRow[]> {
  const K = config.responses;
  const promptsPerBlock = Math.max(1, Math.floor(config.generation_batch_size / K));
  const log = await BlockLog.open<SampleRow>(run.folder, target.path, promptsPerBlock * K);
  const total = prompts.length * K;
  progress.advance(log.rows.length, total, 'responses');
  for (let first = log.rows.length / K; first < prompts.length; first += promptsPerBlock) {
    const block = prompts.slice(first, first + promptsPerBlock);
    await log.append(await sampleBlock(policy, block, first, { config, target }));
    progress.advance(log.rows.length, total, 'responses');
  }
  await log.finish();
  // What sampling held, training may need.
  policy.workspace.free();
  return log.rows;
}

async function sampleBlock(
  policy: Policy,
  prompts: readonly Prompt[],
  firstPrompt: number,
  { config, target }: { config: RunConfig; target: SampleTarget },
): Promise<SampleRow[]> {
  const rows = prompts.flatMap((prompt, offset) => {
    const ids = encodePrompt(policy, prompt);
    return Array.from({ length: config.responses }, (_, response_index) => ({
      prompt,
      prompt_index: firstPrompt + offset,
      response_index,
      ids,
    }));
  });
  const generated = await generate(
    policy,
    rows.map((row) => ({ ids: row.ids, stream: [row.prompt_index, row.response_index] })),
    {
      maxNewTokens: config.max_new_tokens,
      temperature: config.temperature,
      topK: config.top_k,
      topP: config.top_p,
      repetitionPenalty: config.repetition_penalty,
      stop: config.stop,
      key: keyOf(config.seed, target.purpose),
      batchSize: target.batchSize,
      adapter: target.adapter,
      mixture: target.mixture,
    },
  );
  return rows.map(({ prompt, prompt_index, response_index, ids }, index) => ({
    prompt,
    response: responseText(policy, ids, generated[index]),
    prompt_index,
    response_index,
    prompt_ids: ids,
    response_ids: generated[index].ids,
    ...logProbabilities(generated[index], tiltedSettings(config).length > 0),
  }));
}

function logProbabilities({ logps, samplingLogps }: Generation, tilted: boolean) {
  const sum = (values: Float32Array) => Math.fround(values.reduce((total, value) => total + value, 0));
  return { logp: sum(logps), ...(tilted ? { sampling_logp: sum(samplingLogps) } : {}) };
}

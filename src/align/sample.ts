import { BlockLog } from '../data/jsonl.ts';
import type { Prompt } from '../data/messages.ts';
import { type Generation, generate, type MixtureTerm, responseText } from '../model/generate.ts';
import type { Policy } from '../model/policy.ts';
import { keyOf } from '../random.ts';
import { fittingGenerationBatch } from '../train/memory_plan.ts';
import type { RunConfig } from './config.ts';
import type { Context } from './context.ts';
import { encodePrompt } from './encode.ts';
import type { SampleRow } from './rows.ts';
import { loraSettings } from './train_settings.ts';

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
  const batchSize = await fittingBatch(policy, config, prompts, target.mixture?.length ?? 1);
  if (batchSize < Math.min(config.generation_batch_size, total)) {
    progress.say(`memory: room to sample ${batchSize} at once, not ${config.generation_batch_size}`);
  }
  progress.advance(log.rows.length, total, 'responses');
  for (let first = log.rows.length / K; first < prompts.length; first += promptsPerBlock) {
    const block = prompts.slice(first, first + promptsPerBlock);
    await log.append(await sampleBlock(policy, block, first, { config, batchSize, target }));
    progress.advance(log.rows.length, total, 'responses');
  }
  await log.finish();
  // What sampling held, training may need.
  policy.workspace.free();
  return log.rows;
}

/** Responses that can be sampled at once, up to the setting; results do not depend on it. Each part of a mixture has its cache. */
async function fittingBatch(
  policy: Policy,
  config: RunConfig,
  prompts: readonly Prompt[],
  parts: number,
): Promise<number> {
  const lengths = prompts.map((prompt) => encodePrompt(policy, prompt).length);
  const fitting = await fittingGenerationBatch(policy, loraSettings(config), {
    promptTokens: lengths.reduce((longest, length) => Math.max(longest, length), 1),
    newTokens: config.max_new_tokens,
    responses: config.responses,
    asked: parts * Math.min(config.generation_batch_size, prompts.length * config.responses),
  });
  return Math.max(1, Math.floor(fitting / parts));
}

async function sampleBlock(
  policy: Policy,
  prompts: readonly Prompt[],
  firstPrompt: number,
  { config, batchSize, target }: { config: RunConfig; batchSize: number; target: SampleTarget },
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
      batchSize,
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

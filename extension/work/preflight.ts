/** What this machine has for the work, told in plain words. */
import { parseConfig } from '../../src/align/config.ts';
import { encodePrompt } from '../../src/align/encode.ts';
import { RESPONSES_PER_BATCH } from '../../src/align/pair_training.ts';
import { loraSettings } from '../../src/align/train_settings.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { runsOnCpu } from '../../src/engine/webgpu/engine.ts';
import type { PageSources } from '../../src/host/page/sources.ts';
import { errorInWords } from '../../src/host/page/wording.ts';
import { planMemory } from '../../src/train/memory_plan.ts';
import type { Check } from '../shared/channel.ts';
import { WORDS } from '../shared/fields.ts';
import type { PreflightJob } from './protocol.ts';

/** A run leaves adapters, samples and checkpoints. */
const RUN_BYTES = 64 * 2 ** 20;

const size = (bytes: number) =>
  bytes < 2 ** 30 ? `${Math.ceil(bytes / 2 ** 20)} MB` : `${(bytes / 2 ** 30).toFixed(1)} GB`;

export async function preflight(
  engine: Engine,
  threads: number,
  sources: PageSources,
  { model, settings }: PreflightJob,
): Promise<Check[]> {
  return [await device(engine, threads), await memory(sources, model.path, settings), await storage()];
}

async function device({ info, limits }: Engine, threads: number): Promise<Check> {
  const name = 'Processor';
  if (runsOnCpu(info)) {
    return {
      name,
      state: 'warning',
      text: `A software driver does the work of a graphics card (${info.description}): the processor alone is faster.`,
    };
  }
  if (info.engine === 'webgpu') {
    return {
      name,
      state: 'good',
      text: `The graphics card does the work (${info.vendor} ${info.description}), in pieces of up to ${size(limits.tensor)}.`,
    };
  }
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  const why = adapter ? 'The graphics driver here is software' : 'The browser offers no graphics card';
  return {
    name,
    state: 'warning',
    text: `${why}, so the processor does the work, on ${threads === 1 ? 'one core' : `${threads} cores`}. Small models do well; large ones take long.`,
  };
}

async function memory(
  sources: PageSources,
  path: string,
  settings: PreflightJob['settings'],
): Promise<Check> {
  const name = 'Memory';
  try {
    const outline = await sources.outline(path);
    const config = parseConfig(
      { responses: settings.responses, max_new_tokens: settings.max_new_tokens },
      '',
    );
    const promptTokens = encodePrompt(
      outline,
      outline.chatTemplate ? [{ role: 'user', content: 'Hello' }] : 'Hello',
    ).length;
    const plan = await planMemory({
      ...(await sources.room()),
      config: outline.config,
      formats: outline.formats,
      lora: loraSettings(config),
      promptTokens: promptTokens + 64,
      newTokens: settings.max_new_tokens,
      responses: settings.responses,
      generationBatch: config.generation_batch_size,
      trainBatch: RESPONSES_PER_BATCH,
    });
    const most = Math.max(plan.sampling, plan.training);
    const of =
      plan.limit === undefined ? 'the card does not say how much it has' : `${size(plan.limit)} can be had`;
    const small = plan.trainBatch < RESPONSES_PER_BATCH;
    return {
      name,
      state: small || plan.limit === undefined ? 'warning' : 'good',
      text: `Learning takes up to ${size(most)}; ${of}.${small ? ` To fit, it takes ${plan.trainBatch} answers at a time.` : ''}`,
    };
  } catch (error) {
    return { name, state: 'bad', text: errorInWords(error, WORDS) };
  }
}

async function storage(): Promise<Check> {
  const name = 'Storage';
  const { quota = 0, usage = 0 } = await navigator.storage.estimate();
  const free = quota - usage;
  return free < RUN_BYTES
    ? {
        name,
        state: 'bad',
        text: `${size(free)} free, and about ${size(RUN_BYTES)} are needed. Free some space on the disk.`,
      }
    : {
        name,
        state: 'good',
        text: `${size(free)} free, ${size(usage)} in use. The browser keeps it until you delete it.`,
      };
}

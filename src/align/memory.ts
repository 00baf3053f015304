import { checkLora } from '../model/lora.ts';
import { planMemory } from '../train/memory_plan.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { encodePrompt } from './encode.ts';
import { roomOf } from './fitting.ts';
import { RESPONSES_PER_BATCH } from './pair_training.ts';
import { loadPrompts } from './split.ts';
import { loraSettings } from './train_settings.ts';

/**
 * Says what the run will hold where, and how it will make it fit, before any weights are loaded.
 *
 * @throws UserError when not even one response at a time fits.
 */
export async function planRun({ config, sources, progress, ...rest }: Context): Promise<void> {
  const { policy: path, beta } = need(config, 'policy', 'prompts', 'beta');
  const { train, evaluation } = await loadPrompts({ config, sources, progress, ...rest });
  const outline = await sources.outline(path);
  const lora = loraSettings(config);
  if (lora) checkLora(outline.config, lora);
  const lengths = [...train, ...evaluation].map((prompt) => encodePrompt(outline, prompt).length);
  const size = config.per_device_train_batch_size;
  const needs = {
    ...(await roomOf({ config, sources })),
    config: outline.config,
    formats: outline.formats,
    lora,
    promptTokens: lengths.reduce((longest, length) => Math.max(longest, length), 1),
    newTokens: config.max_new_tokens,
    responses: config.responses,
    repetitionPenalty: config.repetition_penalty,
    generationBatch: Math.min(config.generation_batch_size, lengths.length * config.responses),
    ...(config.trainer === 'dpo' ? {} : { onPolicy: { beta } }),
    // In pairs, or in responses that the policy draws as it learns.
    trainBatch: size ? (config.trainer === 'dpo' ? 2 * size : size) : RESPONSES_PER_BATCH,
    gradientCheckpointing: config.gradient_checkpointing,
  };
  const plan = await planMemory(needs);
  const weights = plan.items.find(({ name }) => name === 'weights')!.bytes;
  const again = plan.gradientCheckpointing ? ', blocks computed again in the backward pass' : '';
  const limit =
    plan.limit === undefined ? 'the GPU does not say how much it has' : `of ${mebibytes(plan.limit)}`;
  progress.say(
    `memory: ${mebibytes(weights)} of weights (${outline.formats.linear}); sampling ${plan.generationBatch} at once ` +
      `${mebibytes(plan.sampling)}; training on ${plan.trainBatch} responses at once${again} ` +
      `${mebibytes(plan.training)}; ${limit}`,
    plan.limit === undefined ? ['say it with --memory'] : [],
  );
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

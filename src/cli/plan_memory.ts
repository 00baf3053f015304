import process from 'node:process';
import { Command } from 'commander';
import { parseConfig } from '../align/config.ts';
import { checkWhole } from '../align/products.ts';
import { loraSettings } from '../align/train_settings.ts';
import { UserError } from '../errors.ts';
import { DiskSources } from '../host/sources.ts';
import { type MemoryPlan, planMemory } from '../train/memory_plan.ts';
import { gibibytes, positiveInteger } from './option_values.ts';
import { addRunOptions } from './options.ts';

interface PlanMemoryFlags {
  readonly promptTokens: number;
  readonly trainResponses: number;
  readonly memory?: number;
  readonly json?: boolean;
}

/** What a run would hold on the device, before a byte of weights is read. */
export function planMemoryCommand(): Command {
  const command = new Command('plan-memory').description(
    'What a run would hold in memory, and the largest batches that fit, before any weights are read',
  );
  const options = addRunOptions(command, ['policy', 'sampling', 'training', 'full', 'trainer']);
  return command
    .option('--prompt-tokens <n>', 'longest prompt in tokens', positiveInteger, 64)
    .option('--train-responses <n>', 'different responses trained on at once', positiveInteger, 64)
    .option('--memory <GiB>', 'most memory to use; a GPU does not say how much it has', gibibytes)
    .option('--json', 'print the plan as JSON, in bytes')
    .action(async ({ promptTokens, trainResponses, memory, json }: PlanMemoryFlags) => {
      const config = parseConfig(options, 'plan-memory');
      checkWhole(config, 'plan-memory');
      if (config.policy === undefined) {
        throw new UserError('--policy is missing; see dualign plan-memory --help');
      }
      // All weights are trained in float32.
      const dtype = config.full ? 'float32' : config.dtype;
      const sources = new DiskSources(config.device, { threads: 1, memory, dtype });
      try {
        const sketch = await sources.sketch(config.policy);
        const plan = await planMemory({
          ...(await sources.room()),
          ...sketch,
          lora: loraSettings(config),
          // Only a weight of 0 would do without a reference.
          ...(config.trainer === 'dpo' ? {} : { onPolicy: { beta: 1 } }),
          promptTokens,
          newTokens: config.max_new_tokens,
          responses: config.responses,
          generationBatch: config.generation_batch_size,
          trainBatch: trainResponses,
          gradientCheckpointing: config.gradient_checkpointing,
        });
        process.stdout.write(
          json ? `${JSON.stringify(plan, null, 2)}\n` : planText(plan, sketch.formats.linear),
        );
      } finally {
        sources.close();
      }
    });
}

function planText(plan: MemoryPlan, format: string): string {
  const row = (name: string, bytes: number) =>
    `${name.padEnd(40)}${(bytes / 2 ** 20).toFixed(1).padStart(10)} MiB\n`;
  const limit =
    plan.limit === undefined ? 'the device does not say' : `of ${(plan.limit / 2 ** 20).toFixed(0)} MiB`;
  return (
    plan.items
      .map(({ name, bytes }) => row(name === 'weights' ? `weights (${format})` : name, bytes))
      .join('') +
    `\n${row(`at most, sampling ${plan.generationBatch} at once`, plan.sampling)}` +
    row(`at most, training on ${plan.trainBatch} responses at once`, plan.training) +
    `${limit}\n${plan.gradientCheckpointing ? 'training computes blocks again in the backward pass\n' : ''}`
  );
}

import process from 'node:process';
import { Command, InvalidArgumentError } from 'commander';
import { loraSettings, parseConfig, type RunConfig, trainSettings } from '../align/config.ts';
import { splitPrompts } from '../align/split.ts';
import { toJsonl } from '../data/jsonl.ts';
import type { Judgement, Preference } from '../data/preferences.ts';
import { UserError } from '../errors.ts';
import { DiskFolder } from '../host/disk.ts';
import { DiskSources } from '../host/sources.ts';
import { addAdapter } from '../model/policy.ts';
import { type RewardModel, saveRewardModel } from '../model/reward_model.ts';
import { loadTextEncoder, readOptional } from '../score/encode.ts';
import type { StepMetrics } from '../train/loop.ts';
import { type RewardMetrics, type RewardPair, trainReward } from '../train/reward.ts';
import { positiveInteger } from './option_values.ts';
import { addRunOptions } from './options.ts';
import { fetchProgress, terminalProgress } from './terminal.ts';

interface RewardFlags {
  readonly out?: string;
  readonly preferences?: string;
  readonly judgement: Judgement;
  readonly centerRewardsCoefficient: number;
  readonly full?: boolean;
  readonly onnx?: number;
  readonly threads?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const METRICS = 'metrics.jsonl';

function coefficient(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value < Infinity)) {
    throw new InvalidArgumentError('expected a number of at least 0.');
  }
  return value;
}

function judgementOf(text: string): Judgement {
  if (text !== 'helpful' && text !== 'safe') throw new InvalidArgumentError('expected helpful or safe.');
  return text;
}

/** Trains a reward or safety model on preferences. */
export function rewardCommand(): Command {
  const command = new Command('reward').description(
    'Train a reward model on preferences (Bradley–Terry), from a language model: a folder to give as --reward, --cost or --safety.',
  );
  const options = addRunOptions(command, ['policy', 'training']);
  return command
    .option('--preferences <file>', 'rows {prompt, chosen, rejected} or of another form that --helpful takes')
    .option(
      '--judgement <which>',
      'of rows with two judgements, the one to learn: helpful or safe',
      judgementOf,
      'helpful',
    )
    .option('--eval-fraction <f>', 'part of the prompts whose pairs are held out', coefficient, 0.1)
    .option('--seed <n>', 'seed of everything drawn at random', Number, 0)
    .option(
      '--center-rewards-coefficient <c>',
      'weight of (score of chosen + score of rejected)², which centres the scores',
      coefficient,
      0.01,
    )
    .option('--full', 'train all weights, in place of LoRA factors and the score head')
    .option('--onnx <tokens>', 'also write model.onnx, for texts of at most so many tokens', positiveInteger)
    .option('--threads <n>', 'threads of the cpu device (all cores, at most 8)', positiveInteger)
    .option('--out <folder>', 'folder of the reward model')
    .option('--json', 'print the result as JSON on stdout')
    .option('--quiet', 'no progress')
    .action(async (flags: RewardFlags & { readonly evalFraction: number; readonly seed: number }) => {
      const { evalFraction: eval_fraction, seed } = flags;
      const config = parseConfig({ ...options, eval_fraction, seed }, 'reward');
      await train(config, flags);
    });
}

async function train(config: RunConfig, flags: RewardFlags): Promise<void> {
  const { policy: path } = config;
  const { out, preferences } = flags;
  for (const [name, value] of Object.entries({ policy: path, preferences, out })) {
    if (value === undefined) throw new UserError(`--${name} is missing; see dualign reward --help`);
  }
  if (config.dtype !== 'auto' && config.dtype !== 'float32') {
    throw new UserError(
      `reward: expected --dtype auto or float32, to save the trained weights, got ${config.dtype}`,
    );
  }
  const progress = terminalProgress(flags.quiet ?? false);
  const sources = new DiskSources(config.device, {
    threads: flags.threads,
    dtype: config.dtype,
    chatTemplate: config.chat_template,
    progress: fetchProgress(progress),
  });
  const folder = new DiskFolder(out!);
  if (await folder.exists('config.json')) {
    throw new UserError(`${out}: expected a folder without a model, found config.json; give another --out`);
  }
  try {
    const rows = await sources.preferences(preferences!, flags.judgement);
    const { model, base } = await sources.rewardModel(path!, config.seed);
    if (flags.onnx !== undefined && flags.onnx > model.maxLength) {
      throw new UserError(
        `--onnx: expected at most ${model.maxLength}, the model's own limit, got ${flags.onnx}`,
      );
    }
    if (!flags.full) addAdapter(model, loraSettings(config), config.seed);
    const { pairs, left } = await encode(model, base, rows);
    if (left > 0) progress.say(`left out ${left} pairs longer than ${model.maxLength} tokens`);
    const split = splitPairs(pairs, config, preferences!);
    progress.stage(
      'reward',
      'started',
      `${split.train.length} pairs, ${split.evaluation.length} held out, ${flags.full ? 'all weights' : `LoRA r ${config.lora_r}`}`,
    );
    const metrics: (StepMetrics & RewardMetrics)[] = [];
    let held: Record<string, number> = {};
    const lines: unknown[] = [];
    await trainReward(model, split, trainingSettings(config, flags.centerRewardsCoefficient), {
      onMetrics: (row, total) => {
        metrics.push(row);
        lines.push(row);
        progress.advance(
          row.step,
          total,
          'steps',
          `loss ${row.loss.toFixed(4)}, accuracy ${row.accuracy.toFixed(2)}`,
        );
      },
      onEvaluation: (row) => {
        held = { ...row };
        lines.push(row);
      },
    });
    await saveRewardModel(model, base, folder, { onnxLength: flags.onnx });
    await folder.write(METRICS, toJsonl(lines));
    const { loss, accuracy, margin } = metrics.at(-1)!;
    const result = { steps: metrics.length, loss, accuracy, margin, ...held };
    process.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : `${resultText(out!, held, split)}\n`);
  } finally {
    sources.close();
  }
}

/** Prompt and response as the model will read them when it scores. */
async function encode(model: RewardModel, base: DiskFolder, rows: readonly Preference[]) {
  const text = await loadTextEncoder(base, await readOptional(base, 'config.json'));
  const pairs: (RewardPair & Pick<Preference, 'prompt'>)[] = [];
  let left = 0;
  for (const { prompt, chosen, rejected } of rows) {
    const [better, worse] = [chosen, rejected].map((response) => text.encode({ prompt, response }));
    if ([better, worse].some(({ ids, truncated }) => truncated || ids.length > model.maxLength)) left++;
    else pairs.push({ prompt, chosenIds: better.ids, rejectedIds: worse.ids });
  }
  return { pairs, left };
}

/** Whole prompts are held out, so that the accuracy is on texts that training has not seen. */
function splitPairs(
  pairs: readonly (RewardPair & Pick<Preference, 'prompt'>)[],
  { eval_fraction, seed }: RunConfig,
  name: string,
) {
  const keyOf = (prompt: Preference['prompt']) => JSON.stringify(prompt);
  const prompts = new Map(pairs.map(({ prompt }) => [keyOf(prompt), prompt]));
  const { evaluation } = splitPrompts([...prompts.values()], eval_fraction, seed, name);
  const held = new Set(evaluation.map(keyOf));
  return {
    train: pairs.filter(({ prompt }) => !held.has(keyOf(prompt))),
    evaluation: pairs.filter(({ prompt }) => held.has(keyOf(prompt))),
  };
}

function trainingSettings(config: RunConfig, center_rewards_coefficient: number) {
  return {
    ...trainSettings(config),
    per_device_train_batch_size: config.per_device_train_batch_size ?? 16,
    center_rewards_coefficient,
  };
}

function resultText(
  out: string,
  held: Readonly<Record<string, number>>,
  { evaluation }: { readonly evaluation: readonly RewardPair[] },
): string {
  return (
    `On ${evaluation.length} held-out pairs the chosen text scores higher in ${(100 * held.eval_accuracy).toFixed(1)} % ` +
    `(half would be chance), by ${held.eval_margin.toFixed(3)} on average.\nreward model: ${out}`
  );
}

/** Trainings on their own. */
import type { Command } from 'commander';
import type { ModelContext } from '../align/context.ts';
import { dpoAlone } from '../align/dpo.ts';
import { type OnPolicySummary, type OnPolicyTrainer, trainAlone } from '../align/on_policy.ts';
import { rewardAlone } from '../align/reward.ts';
import { sftAlone } from '../align/sft.ts';
import type { TrainingSummary } from '../align/training_summary.ts';
import type { OptionGroup } from './options.ts';
import { type RunCommand, runCommand } from './run_command.ts';

export function trainingCommands(): Command[] {
  return TRAININGS.map(runCommand);
}

const TRAININGS: readonly RunCommand[] = [
  training(
    'sft',
    'Supervised fine-tuning on texts, conversations, or prompts with completions: adapter/ or model/, metrics.jsonl',
    ['policy', 'examples', 'training', 'full', 'from-scratch', 'held-out'],
    sftAlone,
    sftText,
  ),
  training(
    'dpo',
    'DPO on preferences: adapter/ or model/, metrics.jsonl',
    ['policy', 'pairs', 'kl', 'training', 'losses', 'full', 'from-scratch', 'held-out'],
    dpoAlone,
    dpoText,
  ),
  {
    ...training(
      'reward',
      'Train a reward model on preferences (Bradley–Terry), from a language model: a folder to give as --reward, --cost or --safety.',
      ['policy', 'pairs', 'training', 'full', 'from-scratch', 'held-out', 'reward-model'],
      rewardAlone,
      rewardText,
    ),
    whole: true,
  },
  onPolicy('grpo', 'Train on r + λᵀg of what the policy draws, by GRPO: adapter/ or model/, metrics.jsonl', [
    'losses',
    'grpo',
  ]),
  onPolicy('rloo', 'Train on r + λᵀg of what the policy draws, by RLOO: adapter/ or model/, metrics.jsonl', [
    'rloo',
  ]),
];

function training(
  name: string,
  description: string,
  groups: readonly OptionGroup[],
  train: (context: ModelContext) => Promise<TrainingSummary>,
  textOf: (summary: TrainingSummary, context: ModelContext) => string,
): RunCommand {
  return {
    name,
    description,
    groups,
    async run(context) {
      const summary = await train(context);
      const { steps, metrics, held } = summary;
      return { json: { steps, ...without(metrics), ...without(held ?? {}) }, text: textOf(summary, context) };
    },
  };
}

function without({ step: _, epoch: __, ...rest }: Readonly<Record<string, number>>): Record<string, number> {
  return rest;
}

function lossText({ steps, first, last }: TrainingSummary): string {
  return `${steps} steps, mean loss of the first and the last tenth: ${first.toFixed(4)} → ${last.toFixed(4)}`;
}

function placeText({ config, run }: ModelContext): string {
  return config.full ? `model: ${run.folder.name}/model` : `adapter: ${run.folder.name}/adapter`;
}

function sftText(summary: TrainingSummary, context: ModelContext): string {
  const { held } = summary;
  const heldText = held
    ? `\nOn what was held out, after step ${held.step}: loss ${held.eval_loss.toFixed(4)}`
    : '';
  return `${lossText(summary)}${heldText}\n${placeText(context)}`;
}

function dpoText(summary: TrainingSummary, context: ModelContext): string {
  const { held } = summary;
  const heldText = held
    ? `\nOn what was held out, after step ${held.step}: loss ${held.eval_loss.toFixed(4)}, ` +
      `the chosen response rewarded more in ${percent(held['eval_rewards/accuracies'])} of the pairs`
    : '';
  return `${lossText(summary)}${heldText}\n${placeText(context)}`;
}

function rewardText(summary: TrainingSummary, { run }: ModelContext): string {
  const { held } = summary;
  const heldText = held
    ? `\nOn what was held out, the chosen text scores higher in ${percent(held.eval_accuracy)} of the pairs ` +
      `(half would be chance), by ${held.eval_margin.toFixed(3)} on average.`
    : '';
  return `${lossText(summary)}${heldText}\nreward model: ${run.folder.name}`;
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}

/** Policy gradients on their own, with λ as given. */
function onPolicy(trainer: OnPolicyTrainer, description: string, groups: readonly OptionGroup[]): RunCommand {
  return {
    name: trainer,
    description,
    groups: [
      'policy',
      'scorers',
      'alone',
      'drawing',
      'training',
      'full',
      'from-scratch',
      'on-policy',
      ...groups,
    ],
    async run(context) {
      const summary = await trainAlone(context, trainer);
      return {
        json: { ...summary, ...context.run.manifest.stages[trainer] },
        text: summaryText(summary, context),
      };
    },
  };
}

function summaryText({ steps, first, last }: OnPolicySummary, context: ModelContext): string {
  const change = (name: keyof typeof first) => `${name} ${first[name].toFixed(3)} → ${last[name].toFixed(3)}`;
  return (
    `${steps} steps, means of the first and the last tenth: ${change('reward')}, ${change('kl')} a token\n` +
    placeText(context)
  );
}

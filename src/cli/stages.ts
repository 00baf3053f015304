import type { Command } from 'commander';
import { collect } from '../align/collect.ts';
import type { RunOptions } from '../align/config.ts';
import type { Context } from '../align/context.ts';
import { type RunDual, solveDual } from '../align/dual.ts';
import { evaluate } from '../align/evaluate.ts';
import { label } from '../align/label.ts';
import { mocan } from '../align/mocan.ts';
import { pecan } from '../align/pecan.ts';
import { prealign } from '../align/prealign.ts';
import { report } from '../align/report.ts';
import { score } from '../align/score.ts';
import { train } from '../align/train.ts';
import { renderSummary } from '../report/report.ts';
import { type CommonOptions, INFEASIBLE } from './common.ts';
import type { OptionGroup } from './options.ts';
import { execute, type RunCommand, runCommand } from './run_command.ts';
import { solutionText } from './solution_text.ts';

/** Options of a whole run. */
export const ALIGN_OPTIONS: readonly OptionGroup[] = [
  'policy',
  'prompts',
  'scorers',
  'preferences',
  'limits',
  'comparison',
  'sampling',
  'labels',
  'rounds',
  'training',
  'full',
  'losses',
  'trainer',
  'on-policy',
  'grpo',
  'rloo',
  'decoding',
];

const STAGES: readonly RunCommand[] = [
  {
    name: 'align',
    description:
      'The whole run: collect, score, dual, label, train, evaluate, report. Killed, the same command goes on where it stopped.',
    groups: ALIGN_OPTIONS,
    async run(context) {
      const align = context.config.method === 'pecan' ? pecan : mocan;
      const { dual, report: data } = await align(context);
      if (!data) return infeasible(dual);
      const { folder } = context.run;
      return {
        json: { ...dual, evaluation: data.evaluation, results: context.run.manifest.results },
        text: `${renderSummary(data)}\nreport: ${folder.name}/report.html`,
      };
    },
  },
  stage(
    'collect',
    'Draw responses to the prompts from the policy: samples.jsonl',
    ['policy', 'prompts', 'sampling'],
    collect,
  ),
  stage(
    'prealign',
    'PeCAN: train a policy on each set of preferences: prealigned/',
    ['policy', 'preferences', 'limits', 'training', 'losses'],
    prealign,
  ),
  stage(
    'score',
    'Score the samples, by scorers or by pre-aligned policies: scores.jsonl',
    ['scorers', 'preferences'],
    score,
  ),
  stage('label', 'Make preference pairs by r + λ*ᵀg: pairs.jsonl', ['labels', 'prompts'], label),
  stage(
    'train',
    'Train the policy by DPO on the pairs, or by policy gradients: adapter/ or model/, metrics.jsonl',
    [
      'policy',
      'prompts',
      'scorers',
      'sampling',
      'limits',
      'labels',
      'rounds',
      'training',
      'full',
      'losses',
      'trainer',
      'on-policy',
      'grpo',
      'rloo',
    ],
    train,
  ),
  stage(
    'evaluate',
    'Sample the policy and the aligned policy on held-out prompts and score them: evaluation.json',
    ['policy', 'prompts', 'scorers', 'sampling', 'decoding'],
    evaluate,
  ),
  {
    name: 'report',
    description: 'Write the report of a finished run: report.html',
    groups: [],
    async run(context) {
      const data = await report(context);
      return {
        json: data.evaluation,
        text: `${renderSummary(data)}\nreport: ${context.run.folder.name}/report.html`,
      };
    },
  },
];

function stage(
  name: string,
  description: string,
  groups: readonly OptionGroup[],
  work: (context: Context) => Promise<unknown>,
): RunCommand {
  return {
    name,
    description,
    groups,
    async run(context) {
      await work(context);
      return { json: { stage: name, ...context.run.manifest.stages[name] } };
    },
  };
}

function infeasible(dual: RunDual): { json: unknown; text: string; exitCode: number } {
  return { json: dual, text: solutionText(dual), exitCode: INFEASIBLE };
}

/** Solves the dual as a step of a run: `dualign dual --out`. */
export async function solveRun(common: CommonOptions, options: RunOptions): Promise<void> {
  await execute(common, options, 'dual', async (context) => {
    const dual = await solveDual(context);
    return dual.status === 'optimal' ? { json: dual, text: solutionText(dual) } : infeasible(dual);
  });
}

/** The commands of the stages of a run. */
export function stageCommands(): Command[] {
  return STAGES.map(runCommand);
}

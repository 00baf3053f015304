import process from 'node:process';
import { Command } from 'commander';
import { collect } from '../align/collect.ts';
import { parseConfig, type RunOptions } from '../align/config.ts';
import type { Context } from '../align/context.ts';
import { type RunDual, solveDual } from '../align/dual.ts';
import { evaluate } from '../align/evaluate.ts';
import { label } from '../align/label.ts';
import { mocan } from '../align/mocan.ts';
import { type OnPolicySummary, type OnPolicyTrainer, trainAlone } from '../align/on_policy.ts';
import { pecan } from '../align/pecan.ts';
import { prealign } from '../align/prealign.ts';
import { report } from '../align/report.ts';
import { score } from '../align/score.ts';
import { train } from '../align/train.ts';
import { Run } from '../data/run.ts';
import { UserError } from '../errors.ts';
import { DiskFolder } from '../host/disk.ts';
import { runtimeName } from '../host/runtime.ts';
import { DiskSources } from '../host/sources.ts';
import { renderSummary } from '../report/report.ts';
import { type CommonOptions, INFEASIBLE } from './common.ts';
import { addResourceOptions, addRunOptions, type OptionGroup } from './options.ts';
import { solutionText } from './solution_text.ts';
import { fetchProgress, terminalProgress } from './terminal.ts';

interface StageCommand {
  readonly name: string;
  readonly description: string;
  readonly groups: readonly OptionGroup[];
  /** Does the work; returns what --json prints and the text for people. */
  run(context: Context): Promise<{ json: unknown; text?: string; exitCode?: number }>;
}

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
  'training',
  'losses',
  'trainer',
  'on-policy',
  'grpo',
  'rloo',
  'decoding',
];

const STAGES: readonly StageCommand[] = [
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
    'Train the adapter by DPO on the pairs, or by policy gradients: adapter/, metrics.jsonl',
    [
      'policy',
      'prompts',
      'scorers',
      'sampling',
      'limits',
      'training',
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
  onPolicy('grpo', 'Train on r + λᵀg of what the policy draws, by GRPO: adapter/, metrics.jsonl', [
    'losses',
    'grpo',
  ]),
  onPolicy('rloo', 'Train on r + λᵀg of what the policy draws, by RLOO: adapter/, metrics.jsonl', ['rloo']),
];

/** Policy gradients on their own, with λ as given. */
function onPolicy(
  trainer: OnPolicyTrainer,
  description: string,
  groups: readonly OptionGroup[],
): StageCommand {
  return {
    name: trainer,
    description,
    groups: ['policy', 'scorers', 'alone', 'drawing', 'training', 'on-policy', ...groups],
    async run(context) {
      const summary = await trainAlone(context, trainer);
      const { name } = context.run.folder;
      return {
        json: { ...summary, ...context.run.manifest.stages[trainer] },
        text: summaryText(summary, name),
      };
    },
  };
}

function summaryText({ steps, first, last }: OnPolicySummary, folder: string): string {
  const change = (name: keyof typeof first) => `${name} ${first[name].toFixed(3)} → ${last[name].toFixed(3)}`;
  return (
    `${steps} steps, means of the first and the last tenth: ${change('reward')}, ${change('kl')} a token\n` +
    `adapter: ${folder}/adapter`
  );
}

function stage(
  name: string,
  description: string,
  groups: readonly OptionGroup[],
  work: (context: Context) => Promise<unknown>,
): StageCommand {
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

/** The commands that work on a run folder alone. */
export function stageCommands(): Command[] {
  return STAGES.map(({ name, description, groups, run }) => {
    const command = new Command(name).description(description);
    const options = addRunOptions(command, groups);
    if (groups.includes('policy')) {
      addResourceOptions(command);
    }
    return command
      .option(
        '--out <folder>',
        'run folder: artefacts, manifest.json, report.html; settings left out come from it',
      )
      .option('--redo', 'replace finished stages whose settings changed')
      .option('--json', 'print the result as JSON on stdout')
      .option('--quiet', 'no progress')
      .action((common: CommonOptions) => execute(common, options, name, run));
  });
}

async function execute(
  { out, redo = false, json = false, quiet = false, threads, memory }: Partial<CommonOptions>,
  options: RunOptions,
  name: string,
  work: StageCommand['run'],
): Promise<void> {
  // Commander asks for required options before it looks for unknown ones, and would hide a misspelt option.
  if (out === undefined) throw new UserError(`--out is missing; see dualign ${name} --help`);
  const run = await Run.open(new DiskFolder(out), runtimeName());
  const config = parseConfig({ ...(run.manifest.config as object), ...options }, name);
  run.configure(config, redo);
  const progress = terminalProgress(quiet);
  const sources = new DiskSources(config.device, {
    threads,
    memory,
    dtype: config.dtype,
    chatTemplate: config.chat_template,
    progress: fetchProgress(progress),
  });
  try {
    const result = await work({ run, config, sources, progress });
    const text = json ? JSON.stringify(result.json, null, 2) : result.text;
    if (text !== undefined) process.stdout.write(`${text}\n`);
    if (result.exitCode !== undefined) process.exitCode = result.exitCode;
  } finally {
    sources.close();
  }
}

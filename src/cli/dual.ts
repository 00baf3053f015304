import process from 'node:process';
import { Command } from 'commander';
import type { RunOptions } from '../align/config.ts';
import { ScatteredRows } from '../data/score_rows.ts';
import { bootstrapDual } from '../dual/bootstrap.ts';
import type { Limit } from '../dual/problem.ts';
import { safeThresholds } from '../dual/safe.ts';
import type { DualSolution } from '../dual/solution.ts';
import { solveDual } from '../dual/solve.ts';
import { scoreErrors, stability } from '../dual/stability.ts';
import { solveStream } from '../dual/stream.ts';
import { UserError } from '../errors.ts';
import { useThreads } from '../host/dual_threads.ts';
import { CHART_DESCRIPTION, writeChart } from './chart_page.ts';
import { type CommonOptions, INFEASIBLE } from './common.ts';
import {
  addScoreOptions,
  hasScores,
  loadScores,
  SCORES_HELP,
  type ScoreFiles,
  streamScores,
} from './score_files.ts';
import {
  addLimitOptions,
  BETA_DESCRIPTION,
  collect,
  number,
  print,
  problemOf,
  THREADS_OPTION,
  wholeNumber,
} from './score_options.ts';
import { bootstrapText, solutionText, stabilityText, tighteningText } from './solution_text.ts';

const HELP = `
What it solves
  Maximise E[reward] − β·KL(π‖π_ref) subject to E[safety_j] ≥ threshold_j, over policies π. The optimal policy is
  π_ref·exp((reward + λ*ᵀsafety)/β), normalised; λ* minimises a smooth convex function of as many variables as there
  are safety scores, on scores of responses drawn from π_ref. λ*_j is the price of safety: what one unit more of
  threshold_j costs. Nothing is trained: the predictions come from the scores alone.
${SCORES_HELP}

Limits
  One per safety score, in order: --threshold b for E[safety] ≥ b, --margin b for E[safety] ≥ reference mean + b.

Examples
  dualign dual --scores scores.jsonl --beta 0.1 --margin 0.5
  dualign dual --scores scores.safetensors --beta 0.1 --threshold 0.5 --margin 0.25 --json
  dualign dual --scores scores.jsonl --beta 0.1 --margin 0.5 --confidence 0.95 --bootstrap 1000
  dualign dual --scores scores.jsonl --beta 0.1 --margin 0.5 --score-error 0.05
  dualign dual --scores scores.jsonl --beta 0.1 --margin 0.5 --chart dual.html
  dualign dual --out runs/first --beta 1 --margin 0.25
  score-my-samples | dualign dual --scores - --beta 1 --threshold 0

Exit code
  0 optimal, 2 bad input, 3 infeasible or nearly infeasible.`;

interface Options extends Partial<CommonOptions>, ScoreFiles {
  readonly beta?: number;
  readonly confidence?: number;
  readonly bootstrap?: number;
  readonly seed?: number;
  readonly scoreError?: readonly number[];
  readonly chart?: string;
  readonly threads?: number;
}

/**
 * `dualign dual`: from scores to λ*, predictions and a verdict. With --out, `solveRun` does the same as a step of that
 * run, on the run's scores.
 */
export function dualCommand(
  solveRun: (common: CommonOptions, options: RunOptions) => Promise<void>,
): Command {
  const command = addScoreOptions(
    new Command('dual').description(
      'Solve the dual on scores made anywhere: λ*, what the optimal policy achieves, and a verdict',
    ),
  ).option('--beta <b>', BETA_DESCRIPTION, number);
  const limits = addLimitOptions(command);
  return command
    .option(
      '--confidence <p>',
      'raise the thresholds so that they hold on prompts not seen with probability p',
      number,
    )
    .option('--bootstrap <n>', 'intervals from n resamples of the prompts', wholeNumber)
    .option('--seed <n>', 'seed of the resamples (0)', wholeNumber)
    .option(
      '--score-error <e>',
      'where λ* can be if every score is off by up to e; or once for the reward, then for each safety score',
      collect,
    )
    .option('--chart <html>', CHART_DESCRIPTION)
    .option('--out <folder>', 'in place of --scores: solve on the scores of this run, into its dual.json')
    .option('--redo', 'with --out: replace a dual solved with other settings')
    .option(...THREADS_OPTION)
    .option('--json', 'print the solution as JSON on stdout')
    .option('--quiet', 'no progress')
    .addHelpText('after', HELP)
    .action(async (options: Options) => {
      const { beta, out, redo, json, quiet } = options;
      if (hasScores(options) === (out !== undefined)) {
        throw new UserError(
          'expected --scores with a file, or --out with a run folder; see dualign dual --help',
        );
      }
      if (out !== undefined) {
        for (const [name, flag] of Object.entries(OF_SCORES)) {
          if (options[name as keyof typeof OF_SCORES] === undefined) continue;
          throw new UserError(`${flag} goes with --scores; a run shows its dual in report.html`);
        }
        await solveRun(
          { out, redo, json, quiet },
          { ...(beta === undefined ? {} : { beta }), ...runLimits(limits) },
        );
      } else {
        await solveScores(limits, options);
      }
    });
}

/** Options that a run does not know. */
const OF_SCORES = {
  confidence: '--confidence',
  bootstrap: '--bootstrap',
  seed: '--seed',
  scoreError: '--score-error',
  chart: '--chart',
} as const;

function runLimits(limits: readonly Limit[]): RunOptions {
  if (limits.length === 0) return {};
  return {
    limits: limits.map((limit) =>
      'margin' in limit
        ? { kind: 'margin', value: limit.margin }
        : { kind: 'threshold', value: limit.threshold },
    ),
  };
}

async function solveScores(limits: readonly Limit[], options: Options): Promise<void> {
  const { beta, bootstrap, confidence, seed, scoreError, json } = options;
  if (beta === undefined) throw new UserError('--beta is missing; see dualign dual --help');
  await useThreads(options.threads);
  if ([bootstrap, confidence, scoreError, options.chart].every((option) => option === undefined)) {
    const streamed = await solveLarge(options, beta, limits);
    if (streamed) return report(streamed, streamed, [solutionText(streamed)], json);
  }
  const scores = await loadScores(options, 'dual');
  let problem = await problemOf(scores, beta, limits);
  let tightening: readonly number[] | undefined;
  if (confidence !== undefined) {
    const safe = await safeThresholds(problem, 1 - confidence);
    tightening = safe.tightening;
    problem = { ...problem, thresholds: safe.thresholds };
  }
  const solution = await solveDual(problem);
  const solved = solution.status === 'optimal';
  const intervals =
    bootstrap === undefined || !solved
      ? undefined
      : await bootstrapDual(problem, { replicates: bootstrap, seed: seed ?? 0 });
  const errors = scoreError && scoreErrors(scoreError, problem.thresholds.length);
  const stable = errors && solved ? await stability(problem, errors) : undefined;
  const result = {
    ...solution,
    ...(tightening ? { confidence, tightening } : {}),
    ...(intervals ? { bootstrap: intervals } : {}),
    ...(stable ? { stability: stable } : {}),
  };
  const parts = [
    solutionText(solution),
    ...(tightening && confidence !== undefined ? [tighteningText(confidence, tightening)] : []),
    ...(intervals ? [bootstrapText(intervals)] : []),
    ...(stable ? [stabilityText(stable)] : []),
  ];
  if (options.chart !== undefined) {
    await writeChart(
      options.chart,
      { table: scores, files: options, beta, solution },
      {
        ...(intervals ? { bootstrap: intervals } : {}),
        ...(stable ? { stability: stable } : {}),
        ...(tightening && confidence !== undefined ? { safe: { confidence, tightening } } : {}),
      },
    );
  }
  report(solution, result, parts, json);
}

/** Solves on scores too large to hold; undefined where they are not, or have to be held. */
async function solveLarge(
  files: ScoreFiles,
  beta: number,
  limits: readonly Limit[],
): Promise<DualSolution | undefined> {
  try {
    const source = await streamScores(files);
    return source && (await solveStream(source, { beta, limits }));
  } catch (error) {
    if (error instanceof ScatteredRows) return undefined;
    throw error;
  }
}

function report(
  { status }: DualSolution,
  result: unknown,
  parts: readonly string[],
  json: boolean | undefined,
): void {
  print(result, parts.join('\n\n'), json);
  if (status !== 'optimal') process.exitCode = INFEASIBLE;
}

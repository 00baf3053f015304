import { createReadStream } from 'node:fs';
import process from 'node:process';
import { Command, InvalidArgumentError } from 'commander';
import type { RunOptions } from '../align/config.ts';
import { readScores } from '../data/scores.ts';
import { constraintsOf, type Limit, type ScoreTable } from '../dual/problem.ts';
import { solveDual, thresholdsOf } from '../dual/solve.ts';
import { messageOf, UserError } from '../errors.ts';
import { type CommonOptions, INFEASIBLE } from './common.ts';
import { solutionText } from './solution_text.ts';

const HELP = `
What it solves
  Maximise E[reward] − β·KL(π‖π_ref) subject to E[safety_j] ≥ threshold_j, over policies π. The optimal policy is
  π_ref·exp((reward + λ*ᵀsafety)/β), normalised; λ* minimises a smooth convex function of as many variables as there
  are safety scores, on scores of responses drawn from π_ref. λ*_j is the price of safety: what one unit more of
  threshold_j costs. Nothing is trained: the predictions come from the scores alone.

Scores (--scores)
  JSON Lines, a response a row; the rows of one prompt are its responses, other fields are passed over:
    {"prompt": "How do I …", "reward": 1.7, "safety": [-0.4]}
    {"prompt": "How do I …", "reward": 0.2, "safety": [0.9]}
  or safetensors with "reward" [N, K] and "safety" [m, N, K]. Higher is safer: turn the sign of a cost.

Limits
  One per safety score, in order: --threshold b for E[safety] ≥ b, --margin b for E[safety] ≥ reference mean + b.

Examples
  dualign dual --scores scores.jsonl --beta 0.1 --margin 0.5
  dualign dual --scores scores.safetensors --beta 0.1 --threshold 0.5 --margin 0.25 --json
  dualign dual --out runs/first --beta 1 --margin 0.25
  score-my-samples | dualign dual --scores - --beta 1 --threshold 0

Exit code
  0 optimal, 2 bad input, 3 infeasible or nearly infeasible.`;

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number.');
  return value;
}

interface Options extends Partial<CommonOptions> {
  readonly scores?: string;
  readonly beta?: number;
}

/**
 * `dualign dual`: from scores to λ*, predictions and a verdict. With --out, `solveRun` does the same as a step of that
 * run, on the run's scores.
 */
export function dualCommand(
  solveRun: (common: CommonOptions, options: RunOptions) => Promise<void>,
): Command {
  const limits: Limit[] = [];
  return new Command('dual')
    .description(
      'Solve the dual on scores made anywhere: λ*, what the optimal policy achieves, and a verdict',
    )
    .option('--scores <file>', 'scores of reference responses, JSON Lines or safetensors; - for stdin')
    .option('--beta <b>', 'weight of the KL divergence from the reference policy', number)
    .option(
      '--threshold <b>',
      'mean safety must be at least b; one limit per safety score, in order',
      (text) => {
        limits.push({ threshold: number(text) });
      },
    )
    .option(
      '--margin <b>',
      'mean safety must exceed that of the reference by b; in place of a --threshold',
      (text) => {
        limits.push({ margin: number(text) });
      },
    )
    .option('--out <folder>', 'in place of --scores: solve on the scores of this run, into its dual.json')
    .option('--redo', 'with --out: replace a dual solved with other settings')
    .option('--json', 'print the solution as JSON on stdout')
    .option('--quiet', 'no progress')
    .addHelpText('after', HELP)
    .action(async ({ scores, beta, out, ...common }: Options) => {
      if ((scores === undefined) === (out === undefined)) {
        throw new UserError(
          'expected --scores with a file, or --out with a run folder; see dualign dual --help',
        );
      }
      if (out !== undefined) {
        await solveRun({ out, ...common }, { ...(beta === undefined ? {} : { beta }), ...runLimits(limits) });
      } else {
        await solveScores(scores!, beta, limits, common.json ?? false);
      }
    });
}

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

async function solveScores(
  scores: string,
  beta: number | undefined,
  limits: readonly Limit[],
  json: boolean,
) {
  if (beta === undefined) throw new UserError('--beta is missing; see dualign dual --help');
  const table = await loadScores(scores);
  requireLimits(table, limits);
  const thresholds = await thresholdsOf(table, limits);
  const solution = await solveDual({ ...table, beta, thresholds });
  process.stdout.write(`${json ? JSON.stringify(solution, null, 2) : solutionText(solution)}\n`);
  if (solution.status !== 'optimal') process.exitCode = INFEASIBLE;
}

function requireLimits(table: ScoreTable, limits: readonly Limit[]): void {
  const constraints = constraintsOf(table);
  if (limits.length === constraints) return;
  throw new UserError(
    `expected ${constraints} limit${constraints > 1 ? 's' : ''}, a --threshold or --margin for each safety score in ` +
      `the scores, got ${limits.length}`,
  );
}

/** Reads a score file, or stdin for `-`. */
async function loadScores(path: string): Promise<ScoreTable> {
  if (path === '-') return readScores(process.stdin, 'stdin');
  try {
    return await readScores(createReadStream(path), path);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === undefined) throw error;
    throw new UserError(
      code === 'ENOENT' ? `${path}: no such file` : `${path}: could not be read (${messageOf(error)})`,
    );
  }
}

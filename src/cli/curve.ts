import { Command } from 'commander';
import { largestThreshold } from '../dual/budget.ts';
import type { CurvePoint } from '../dual/curve.ts';
import { type GridPoint, solvePath } from '../dual/grid.ts';
import { safetyCurve } from '../dual/path.ts';
import { constraintsOf, type Limit, type ScoreTable } from '../dual/problem.ts';
import { solveDual } from '../dual/solve.ts';
import { UserError } from '../errors.ts';
import { addScoreOptions, loadScores, SCORES_HELP, type ScoreFiles } from './score_files.ts';
import { addLimitOptions, BETA_DESCRIPTION, number, print, problemOf, wholeNumber } from './score_options.ts';
import { shown, table } from './solution_text.ts';

const HELP = `
What it shows
  For every threshold on the mean safety: its price λ*, and what the optimal policy then achieves. With one safety score
  the curve runs from where the constraint starts to bind to 1 % short of the largest threshold within reach. With
  several, one of them (--axis) runs and the others keep the limits given.

  --max-kl and --min-reward ask the other way round: the largest threshold whose policy stays within that budget.
${SCORES_HELP}

Examples
  dualign curve --scores scores.jsonl --beta 0.1
  dualign curve --scores scores.jsonl --beta 0.1 --max-kl 3
  dualign curve --scores scores.jsonl --beta 0.1 --threshold 0 --margin 0.5 --axis 2 --points 50 --json`;

interface Options extends ScoreFiles {
  readonly beta: number;
  readonly points: number;
  readonly from?: number;
  readonly to?: number;
  readonly axis?: number;
  readonly maxKl?: number;
  readonly minReward?: number;
  readonly json?: boolean;
}

/** `dualign curve`: the trade-off over all thresholds. */
export function curveCommand(): Command {
  const command = addScoreOptions(
    new Command('curve').description(
      'The whole trade-off on scores: each threshold, its price λ*, and what the policy achieves',
    ),
  ).requiredOption('--beta <b>', BETA_DESCRIPTION, number);
  const limits = addLimitOptions(command);
  return command
    .option('--points <n>', 'thresholds, evenly spaced', wholeNumber, 21)
    .option('--from <b>', 'first threshold', number)
    .option('--to <b>', 'last threshold', number)
    .option(
      '--axis <j>',
      'with several safety scores: the one whose threshold runs, counted from 1',
      wholeNumber,
    )
    .option('--max-kl <kl>', 'the largest threshold whose policy has at most this KL', number)
    .option('--min-reward <r>', 'the largest threshold whose policy keeps at least this mean reward', number)
    .option('--json', 'print JSON on stdout')
    .addHelpText('after', HELP)
    .action(async (options: Options) => {
      const scores = await loadScores(options, 'curve');
      if (options.maxKl !== undefined || options.minReward !== undefined) await budget(scores, options);
      else if (constraintsOf(scores) === 1) await wholeCurve(scores, options);
      else await axis(scores, options, limits);
    });
}

async function wholeCurve(scores: ScoreTable, options: Options): Promise<void> {
  const curve = await safetyCurve(scores, options.beta, options);
  const head =
    `${curve.prompts} prompts, β = ${curve.beta}\n` +
    `reference: reward ${shown(curve.reference.reward)}, safety ${shown(curve.reference.safety)}\n` +
    `λ* = 0 up to a threshold of ${shown(curve.free)}; none beyond ${shown(curve.reachable)} is within reach`;
  print(curve, `${head}\n\n${pointsTable(curve.points)}`, options.json);
}

function pointsTable(points: readonly CurvePoint[]): string {
  return table([
    ['threshold', 'λ*', 'reward', 'KL', 'ESS'],
    ...points.map(({ safety, lambda, reward, kl, essMedian }) =>
      [safety, lambda, reward, kl, essMedian].map(shown),
    ),
  ]);
}

async function budget(scores: ScoreTable, { beta, maxKl, minReward, json }: Options): Promise<void> {
  if (maxKl !== undefined && minReward !== undefined) {
    throw new UserError('expected --max-kl or --min-reward, got both');
  }
  const asked = maxKl !== undefined ? { kl: maxKl } : { reward: minReward! };
  const point = await largestThreshold(scores, beta, asked);
  if (!point) {
    const name = maxKl !== undefined ? `a KL of at most ${maxKl}` : `a mean reward of at least ${minReward}`;
    throw new UserError(`no threshold leaves ${name} at β = ${beta}; change β or the budget`, 3);
  }
  print(point, pointsTable([point]), json);
}

async function axis(scores: ScoreTable, options: Options, limits: readonly Limit[]): Promise<void> {
  const { beta, points: count, json } = options;
  const constraints = constraintsOf(scores);
  const j = (options.axis ?? 1) - 1;
  if (j < 0 || j >= constraints)
    throw new UserError(`--axis: expected 1 to ${constraints}, got ${options.axis}`);
  if (count < 2) throw new UserError(`--points: expected at least 2, got ${count}`);
  const problem = await problemOf(scores, beta, limits);
  const { reference, reachable } = await solveDual(problem);
  const from = options.from ?? reference.safety[j];
  const to = options.to ?? reachable[j];
  const thresholds = Array.from({ length: count }, (_, i) =>
    problem.thresholds.map((value, k) => (k === j ? from + ((to - from) * i) / (count - 1) : value)),
  );
  const points = await solvePath(scores, beta, thresholds);
  print({ axis: j + 1, points }, pathTable(points, j), json);
}

function pathTable(points: readonly GridPoint[], j: number): string {
  const prices = points[0].thresholds.map((_, k) => `λ* ${k + 1}`);
  return table([
    [`threshold ${j + 1}`, ...prices, 'reward', 'KL', 'ESS'],
    ...points.map((point) =>
      point.status === 'infeasible'
        ? [shown(point.thresholds[j]), ...prices.map(() => ''), 'infeasible', '', '']
        : [point.thresholds[j], ...point.lambda, point.reward, point.kl, point.essMedian].map(shown),
    ),
  ]);
}

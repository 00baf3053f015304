import { Command } from 'commander';
import { largestThreshold } from '../dual/budget.ts';
import { type CurvePoint, describePolicies } from '../dual/curve.ts';
import { safetyCurve } from '../dual/path.ts';
import { constraintsOf, type Limit, type ScoreTable } from '../dual/problem.ts';
import { solveDual } from '../dual/solve.ts';
import { UserError } from '../errors.ts';
import { useThreads } from '../host/dual_threads.ts';
import { CHART_DESCRIPTION, writeChart } from './chart_page.ts';
import { grid, path } from './curve_paths.ts';
import { addScoreOptions, loadScores, SCORES_HELP, type ScoreFiles } from './score_files.ts';
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
import { many, shown, shownApart, table } from './solution_text.ts';

const HELP = `
What it shows
  For every threshold on the mean safety: its price λ*, and what the optimal policy then achieves. With one safety score
  the curve runs from where the constraint starts to bind to 1 % short of the largest threshold within reach.

  With several, the limits given say where the others stand while one of them runs (--axis), or from where all of them
  run together (--direction, a step for each: thresholds + t·steps, t from --from to --to). With two, --grid n shows
  n × n pairs of thresholds, from the reference means up. All end 1 % short of what is within reach, too.

The other way round
  --lambda, one for each safety score: the thresholds that this price stands for, which are what its policy achieves.
  --max-kl, --min-reward, with one safety score: the largest threshold whose policy stays within that budget.
${SCORES_HELP}

Examples
  dualign curve --scores scores.jsonl --beta 0.1
  dualign curve --scores scores.jsonl --beta 0.1 --threshold 0.5 --chart curve.html
  dualign curve --scores scores.jsonl --beta 0.1 --max-kl 3
  dualign curve --scores scores.jsonl --beta 0.1 --lambda 0.5
  dualign curve --scores two.jsonl --beta 0.1 --threshold 0 --margin 0.5 --axis 2 --points 50 --json
  dualign curve --scores two.jsonl --beta 0.1 --margin 0 --margin 0 --direction 1 --direction 0.5
  dualign curve --scores two.jsonl --beta 0.1 --grid 5

Exit code
  0 answered, 2 bad input, 3 nothing is within the budget, or the limits to start from are out of reach.`;

interface Options extends ScoreFiles {
  readonly beta: number;
  readonly points: number;
  readonly from?: number;
  readonly to?: number;
  readonly axis?: number;
  readonly direction?: readonly number[];
  readonly grid?: number;
  readonly lambda?: readonly number[];
  readonly maxKl?: number;
  readonly minReward?: number;
  readonly chart?: string;
  readonly threads?: number;
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
    .option('--from <b>', 'first threshold; with --direction the first t (0)', number)
    .option('--to <b>', 'last threshold; with --direction the last t', number)
    .option(
      '--axis <j>',
      'with several safety scores: the one whose threshold runs, counted from 1 (1)',
      wholeNumber,
    )
    .option('--direction <d>', 'one for each safety score: how its threshold moves as t grows', collect)
    .option('--grid <n>', 'with two safety scores: n × n pairs of thresholds', wholeNumber)
    .option('--lambda <l>', 'one for each safety score: the thresholds that this price stands for', collect)
    .option('--max-kl <kl>', 'the largest threshold whose policy has at most this KL', number)
    .option('--min-reward <r>', 'the largest threshold whose policy keeps at least this mean reward', number)
    .option('--chart <html>', CHART_DESCRIPTION)
    .option(...THREADS_OPTION)
    .option('--json', 'print JSON on stdout')
    .addHelpText('after', HELP)
    .action(async (options: Options) => {
      const question = questionOf(options);
      await useThreads(options.threads);
      const scores = await loadScores(options, 'curve');
      if (options.chart !== undefined) await chart(scores, options, limits);
      if (question === 'lambda') await prices(scores, options);
      else if (question === 'grid') await grid(scores, options);
      else if (question === 'maxKl' || question === 'minReward') await budget(scores, options);
      else if (question !== undefined || constraintsOf(scores) > 1) {
        await path(await problemOf(scores, options.beta, limits), options);
      } else await wholeCurve(scores, options);
    });
}

/** The page marks the limits where there are any: one safety score has a curve without. */
async function chart(scores: ScoreTable, options: Options, limits: readonly Limit[]): Promise<void> {
  const asked = limits.length > 0 || constraintsOf(scores) > 1;
  const { beta } = options;
  const solution = asked ? await solveDual(await problemOf(scores, beta, limits)) : undefined;
  await writeChart(options.chart!, {
    table: scores,
    files: options,
    beta,
    ...(solution ? { solution } : {}),
  });
}

const QUESTIONS = {
  axis: '--axis',
  direction: '--direction',
  grid: '--grid',
  lambda: '--lambda',
  maxKl: '--max-kl',
  minReward: '--min-reward',
} as const;
type Question = keyof typeof QUESTIONS;

/** The question asked, if not the whole curve. */
function questionOf(options: Options): Question | undefined {
  const asked = (Object.keys(QUESTIONS) as Question[]).filter((name) => options[name] !== undefined);
  if (asked.length > 1) {
    throw new UserError(
      `expected one of ${asked.map((name) => QUESTIONS[name]).join(' and ')}, got ${asked.length > 2 ? 'all' : 'both'}`,
    );
  }
  return asked[0];
}

async function wholeCurve(scores: ScoreTable, options: Options): Promise<void> {
  const curve = await safetyCurve(scores, options.beta, options);
  const [safety, free, reachable] = shownApart([curve.reference.safety, curve.free, curve.reachable]);
  const head =
    `${many(curve.prompts, 'prompt')}, β = ${curve.beta}\n` +
    `reference: reward ${shown(curve.reference.reward)}, safety ${safety}\n` +
    `λ* = 0 up to a threshold of ${free}; none beyond ${reachable} is within reach`;
  const whole = options.from === undefined && options.to === undefined;
  const missing = whole && curve.reachable > curve.free && curve.points.length < options.points;
  const note = missing
    ? `\n\n${many(options.points - curve.points.length, 'threshold')} of ${options.points} left out: at this β, double ` +
      'precision does not tell their policies apart; raise β, or clip the scores'
    : '';
  print(curve, `${head}\n\n${pointsTable(curve.points)}${note}`, options.json);
}

function pointsTable(points: readonly CurvePoint[]): string {
  const thresholds = shownApart(points.map(({ safety }) => safety));
  return table([
    ['threshold', 'λ*', 'reward', 'KL', 'ESS'],
    ...points.map(({ lambda, reward, kl, essMedian }, i) => [
      thresholds[i],
      ...[lambda, reward, kl, essMedian].map(shown),
    ]),
  ]);
}

async function budget(scores: ScoreTable, { beta, maxKl, minReward, json }: Options): Promise<void> {
  const asked = maxKl !== undefined ? { kl: maxKl } : { reward: minReward! };
  const point = await largestThreshold(scores, beta, asked);
  if (!point) {
    const name = maxKl !== undefined ? `a KL of at most ${maxKl}` : `a mean reward of at least ${minReward}`;
    throw new UserError(`no threshold leaves ${name} at β = ${beta}; change β or the budget`, 3);
  }
  print(point, pointsTable([point]), json);
}

/** The inverse: the thresholds that a price stands for. */
async function prices(scores: ScoreTable, { beta, lambda, json }: Options): Promise<void> {
  const [{ reward, safety, kl, ess }] = await describePolicies(scores, beta, [lambda!]);
  const point = { lambda, thresholds: safety, reward, kl, essMedian: ess.median };
  const many = safety.length > 1;
  const text = table([
    ['', 'λ', 'threshold'],
    ...safety.map((threshold, j) => [
      many ? `safety ${j + 1}` : 'safety',
      shown(lambda![j]),
      shown(threshold),
    ]),
    ['reward', '', shown(reward)],
    ['KL from the reference', '', shown(kl)],
    ['effective sample size, median', '', shown(ess.median)],
  ]);
  print(point, text, json);
}

import { Command } from 'commander';
import { type Convergence, convergence } from '../dual/convergence.ts';
import { solveDual } from '../dual/solve.ts';
import { useThreads } from '../host/dual_threads.ts';
import { methodsOf, passesTo } from '../report/methods.ts';
import { CHART_DESCRIPTION, writeChart } from './chart_page.ts';
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
import { shown, table } from './solution_text.ts';

const HELP = `
What it shows
  How fast λ* is found on your scores, as in Figure 1 of the paper: projected gradient descent,
  λ := max(0, λ − step·∇D(λ)), beside projected Newton, which the other commands use. All start from the same λ, and a
  pass is one evaluation of D and ∇D over all scores.

  D is convex and smooth (Theorem 1): its curvature is nowhere above L = Σ_j R_j²/4β, R_j the largest range of safety
  score j on one prompt, so steps of 1/L never raise it. Around λ* it is strongly convex: each pass of gradient descent
  multiplies the distance to λ* by about the rate, the largest |1 − step·curvature| at λ*. A rate above 1 means that the
  step is too long to arrive. Newton needs no step, and its digits double.
${SCORES_HELP}

Examples
  dualign convergence --scores scores.jsonl --beta 1 --margin 0.5
  dualign convergence --scores scores.jsonl --beta 1 --margin 0.5 --step 0.5 --step 2 --start 0 --chart convergence.html
  dualign convergence --scores two.jsonl --beta 1 --threshold 0 --margin 0.25 --passes 5000 --json

Exit code
  0 answered, 2 bad input, 3 the thresholds are out of reach.`;

interface Options extends ScoreFiles {
  readonly beta: number;
  readonly step?: readonly number[];
  readonly start?: readonly number[];
  readonly passes: number;
  readonly tolerance: number;
  readonly chart?: string;
  readonly threads?: number;
  readonly json?: boolean;
}

/** The step of the paper's gradient descent. */
const PAPER_STEP = 1;

/** `dualign convergence`: gradient descent beside Newton. */
export function convergenceCommand(): Command {
  const command = addScoreOptions(
    new Command('convergence').description(
      'How fast λ* is found: projected gradient descent, pass by pass, beside projected Newton',
    ),
  ).requiredOption('--beta <b>', BETA_DESCRIPTION, number);
  const limits = addLimitOptions(command);
  return command
    .option(
      '--step <s>',
      `step of gradient descent, beside 1/L; repeatable (${PAPER_STEP}, as in the paper)`,
      collect,
    )
    .option('--start <l>', 'λ to start from, one for each safety score (1, as in the paper)', collect)
    .option('--passes <n>', 'most passes of gradient descent', wholeNumber, 1000)
    .option('--tolerance <t>', 'length of the gradient at which gradient descent ends', number, 1e-8)
    .option('--chart <html>', CHART_DESCRIPTION)
    .option(...THREADS_OPTION)
    .option('--json', 'print JSON on stdout: λ, D(λ) − D(λ*) and the length of the gradient at each pass')
    .addHelpText('after', HELP)
    .action(async (options: Options) => {
      const { beta, step = [PAPER_STEP], start, passes, tolerance } = options;
      await useThreads(options.threads);
      const problem = await problemOf(await loadScores(options, 'convergence'), beta, limits);
      const found = await convergence(problem, {
        steps: step,
        passes,
        tolerance,
        ...(start ? { start } : {}),
      });
      if (options.chart !== undefined) {
        const solution = await solveDual(problem);
        await writeChart(
          options.chart,
          { table: problem, files: options, beta, solution },
          { convergence: found },
        );
      }
      print(found, convergenceText(found), options.json);
    });
}

const TOLERANCES = [1e-2, 1e-4, 1e-6, 1e-8];
/** Passes whose gap the table shows, as far as any method goes. */
const SHOWN_PASSES = [1, 2, 3, 4, 5, 7, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000, 1_000_000];

function convergenceText(found: Convergence): string {
  const { lambda, dual, curvature } = found;
  const methods = methodsOf(found);
  const head =
    `λ* = ${lambda.map(shown).join(', ')}, D(λ*) = ${shown(dual)}\n` +
    `curvature of D: ${[...new Set([curvature.smallest, curvature.largest].map(shown))].join(' to ')} at λ*, ` +
    `nowhere above L = ${shown(curvature.smoothness)}`;
  const passes = table([
    ['', 'step', 'rate', ...TOLERANCES.map((tolerance) => `|∇D| ≤ ${tolerance.toExponential()}`)],
    ...methods.map(({ name, trace, descent }) => [
      name,
      descent ? shown(descent.step) : '',
      descent ? shown(descent.rate) : '',
      ...TOLERANCES.map((tolerance) => String(passesTo(trace, tolerance) ?? '–')),
    ]),
  ]);
  const longest = Math.max(...methods.map(({ trace }) => trace.points.length));
  const gaps = table([
    ['pass', ...methods.map(({ name }) => name)],
    ...SHOWN_PASSES.filter((pass) => pass <= longest).map((pass) => [
      String(pass),
      ...methods.map(({ trace }) => {
        const point = trace.points[pass - 1];
        return point ? Math.max(0, point.gap).toExponential(1) : '';
      }),
    ]),
  ]);
  return (
    `${head}\n\nPasses over the scores until the gradient that λ ≥ 0 does not hold back is that short (–: not so far)\n${passes}` +
    `\n\nD(λ) − D(λ*)\n${gaps}`
  );
}

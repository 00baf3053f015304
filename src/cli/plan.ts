import { Command } from 'commander';
import { type Plan, type PlanRow, planDual } from '../dual/plan.ts';
import { solveDual } from '../dual/solve.ts';
import { useThreads } from '../host/dual_threads.ts';
import { CHART_DESCRIPTION, writeChart } from './chart_page.ts';
import { addScoreOptions, loadScores, SCORES_HELP, type ScoreFiles } from './score_files.ts';
import {
  addLimitOptions,
  BETA_DESCRIPTION,
  number,
  print,
  problemOf,
  THREADS_OPTION,
  wholeNumber,
} from './score_options.ts';
import { many, shown, table } from './solution_text.ts';

const HELP = `
What it shows
  λ* on random parts of the scores: fewer prompts make it scatter, like 1/√N; fewer responses a prompt shift it, because
  the optimal policy then has less to choose from. From how both shrink it reckons how many prompts and responses bring
  the half-width of the 95 % interval, and the shift that is left, below --target.
${SCORES_HELP}

Examples
  dualign plan --scores scores.jsonl --beta 0.1 --margin 0.5
  dualign plan --scores scores.jsonl --beta 0.1 --margin 0.5 --target 0.02 --json

Exit code
  0 answered, 2 bad input, 3 the thresholds are out of reach.`;

interface Options extends ScoreFiles {
  readonly beta: number;
  readonly target?: number;
  readonly subsets: number;
  readonly seed: number;
  readonly chart?: string;
  readonly threads?: number;
  readonly json?: boolean;
}

/** `dualign plan`: how many prompts and responses a trustworthy λ* takes. */
export function planCommand(): Command {
  const command = addScoreOptions(
    new Command('plan').description(
      'How λ* depends on the number of prompts and responses, and how many a given precision takes',
    ),
  ).requiredOption('--beta <b>', BETA_DESCRIPTION, number);
  const limits = addLimitOptions(command);
  return command
    .option('--target <t>', 'half-width and bias of λ* to plan for', number)
    .option('--subsets <n>', 'random subsets of each size', wholeNumber, 16)
    .option('--seed <n>', 'seed of the subsets', wholeNumber, 0)
    .option('--chart <html>', CHART_DESCRIPTION)
    .option(...THREADS_OPTION)
    .option('--json', 'print JSON on stdout')
    .addHelpText('after', HELP)
    .action(async ({ beta, target, subsets, seed, chart, threads, json, ...files }: Options) => {
      await useThreads(threads);
      const problem = await problemOf(await loadScores(files, 'plan'), beta, limits);
      const plan = await planDual(problem, { target, subsets, seed });
      if (chart !== undefined) {
        await writeChart(
          chart,
          { table: problem, files, beta, solution: await solveDual(problem) },
          { plan },
        );
      }
      print(plan, planText(plan, problem.prompts), json);
    });
}

function planText(plan: Plan, prompts: number): string {
  const lines = plan.lambda.map(
    (value, j) =>
      `λ*${plan.lambda.length > 1 ? ` ${j + 1}` : ''} = ${shown(value)} ± ${shown(plan.halfWidth[j])}`,
  );
  const parts = [
    `${lines.join('\n')}\n(95 % interval, ${many(prompts, 'prompt')})`,
    rowsTable('prompts', plan.prompts, plan.lambda.length),
    rowsTable('responses', plan.responses, plan.lambda.length),
    plan.bias.map(biasText).join('\n'),
  ];
  if (plan.target) {
    const { value, prompts: needed, responses } = plan.target;
    const more =
      responses === undefined
        ? 'no number of responses in sight brings the bias there: raise β'
        : `about ${responses} responses a prompt bring the bias there`;
    parts.push(`For ${shown(value)}: about ${needed} prompts bring the half-width there; ${more}.`);
  }
  return parts.filter((part) => part !== '').join('\n\n');
}

function rowsTable(name: string, rows: readonly PlanRow[], constraints: number): string {
  if (rows.length === 0) return '';
  const columns = Array.from({ length: constraints }, (_, j) => j);
  return table([
    [name, ...columns.flatMap((j) => [`mean λ* ${j + 1}`, 'deviation']), 'infeasible'],
    ...rows.map(({ size, mean, deviation, infeasible }) => [
      String(size),
      ...columns.flatMap((j) => [mean, deviation].map((values) => (values ? shown(values[j]) : ''))),
      infeasible > 0 ? String(infeasible) : '',
    ]),
  ]);
}

function biasText(bias: number | undefined, j: number): string {
  return bias === undefined
    ? `λ* ${j + 1}: still moving with each doubling of the responses; its limit is not in sight.`
    : `λ* ${j + 1}: more and more responses would move it by about ${shown(bias)}.`;
}

import { Command } from 'commander';
import { collect } from '../align/collect.ts';
import { parseConfig } from '../align/config.ts';
import type { Context } from '../align/context.ts';
import { evaluateReference } from '../align/evaluate.ts';
import { prealign } from '../align/prealign.ts';
import type { Progress } from '../align/progress.ts';
import { score } from '../align/score.ts';
import { Run } from '../data/run.ts';
import { UserError } from '../errors.ts';
import { EXPERIMENTS, type ExperimentName, runExperiments } from '../experiments/all.ts';
import type { Outcome } from '../experiments/experiment.ts';
import type { Subject } from '../experiments/subject.ts';
import { DiskFolder } from '../host/disk.ts';
import { runtimeName } from '../host/runtime.ts';
import { demoOptions } from './demo.ts';
import { number, positiveInteger } from './option_values.ts';
import { sourcesOf } from './run_command.ts';
import { baselineList } from './run_options.ts';
import { table } from './solution_text.ts';
import { terminalProgress } from './terminal.ts';

const HELP = `
The paper's experiments (arXiv 2405.19544) on the demo, or on a run of your own with one constraint
  fig1    how fast gradient descent and Newton find λ*; the scores before and after
  fig2    the dual function at eight margins and the λ* of each
  fig3    predicted against achieved safety at eight margins; the trade-off beside other ways to align
  fig4    λ* from fewer prompts and from fewer responses
  tables  the eight margins in numbers: how many constraints hold, win rates by the run's measures
  all     all of these

  fig3 and tables train a policy at each margin, on the same samples and scores; killed, they go on where they stopped.
  Each experiment leaves a page, a picture and its numbers in --out: fig3.html, fig3.svg, fig3.json; runs/ has the runs.

Examples
  dualign experiment fig2 --out experiments
  dualign experiment all --out experiments
  dualign experiment fig3 tables --run runs/first --margins 0.1,0.2,0.3 --baselines helpful,safe,primal-dual --out mine`;

interface Flags {
  readonly run?: string;
  readonly method?: string;
  readonly margins?: readonly number[];
  readonly baselines?: readonly string[];
  readonly threads?: number;
  readonly out: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** `dualign experiment`. */
export function experimentCommand(): Command {
  return new Command('experiment')
    .description("The paper's experiments, on the demo or on a run: fig1 … fig4, tables, all")
    .argument('<names...>', `${EXPERIMENTS.join(', ')}, all`)
    .option('--run <run>', 'a run folder, scored; the demo if left out')
    .option('--method <name>', 'mocan or pecan, of the demo (both)')
    .option('--margins <list>', 'margins, separated by commas (eight up to what is within reach)', marginList)
    .option('--baselines <names>', 'policies to compare with in fig3 and tables, as for align', baselineList)
    .option('--threads <n>', 'threads of the cpu device', positiveInteger)
    .requiredOption('--out <folder>', 'where pages, pictures, numbers and runs go')
    .option('--json', 'print all numbers as JSON on stdout')
    .option('--quiet', 'no progress')
    .addHelpText('after', HELP)
    .action(experiment);
}

function marginList(text: string): number[] {
  return text.split(',').map(number);
}

async function experiment(given: readonly string[], flags: Flags): Promise<void> {
  const names = namesOf(given);
  const progress = terminalProgress(flags.quiet ?? false);
  const subjects =
    flags.run === undefined
      ? await demoSubjects(flags, progress)
      : [await runSubject(flags.run, flags, progress)];
  try {
    const outcomes = await runExperiments(
      names,
      subjects.map(({ subject }) => subject),
      {
        folder: new DiskFolder(flags.out),
        margins: flags.margins,
        baselines: flags.baselines,
      },
    );
    const text = flags.json
      ? JSON.stringify(Object.fromEntries(outcomes.map(([name, { data }]) => [name, data])), null, 2)
      : outcomes.map(([name, outcome]) => outcomeText(name, outcome, flags.out)).join('\n\n');
    process.stdout.write(`${text}\n`);
  } finally {
    for (const { close } of subjects) close();
  }
}

function namesOf(given: readonly string[]): ExperimentName[] {
  const names = given.flatMap((name) => (name === 'all' ? EXPERIMENTS : [name]));
  const wrong = names.find((name) => !EXPERIMENTS.some((known) => known === name));
  if (wrong !== undefined) {
    throw new UserError(`expected experiments of ${EXPERIMENTS.join(', ')}, all; got ${wrong}`);
  }
  return EXPERIMENTS.filter((name) => names.includes(name));
}

function outcomeText(name: string, { title, note, text, panels }: Outcome, out: string): string {
  const blocks: string[][][] = [[]];
  for (const row of text) {
    if (row.length === 0) blocks.push([]);
    else blocks.at(-1)!.push([...row]);
  }
  const files =
    panels.length > 0
      ? `${out}/${name}.html, ${name}.svg, ${name}.json`
      : `${out}/${name}.html, ${name}.json`;
  return [`${title}\n${note}`, ...blocks.map((rows) => table(rows)), files].join('\n\n');
}

interface Opened {
  readonly subject: Subject;
  close(): void;
}

function opener(out: string, method: string): Subject['open'] {
  return (name) => Run.open(new DiskFolder(`${out}/runs/${method}/${name}`), runtimeName());
}

/** The user's run, as it lies there. */
async function runSubject(path: string, flags: Flags, progress: Progress): Promise<Opened> {
  const folder = new DiskFolder(path);
  if (!(await folder.exists('manifest.json'))) {
    throw new UserError(`${path}: expected a run folder with manifest.json, found none`);
  }
  if (flags.method !== undefined) {
    throw new UserError('expected --run or --method, got both: a run has its method');
  }
  const run = await Run.open(folder, runtimeName());
  const config = parseConfig(run.manifest.config, path);
  const sources = sourcesOf(config, flags, progress);
  const base: Context = { run, config, sources, progress };
  return {
    subject: { method: config.method, base, open: opener(flags.out, config.method) },
    close: () => sources.close(),
  };
}

/** The demo, sampled and scored. */
async function demoSubjects(flags: Flags, progress: Progress): Promise<Opened[]> {
  const { method } = flags;
  if (method !== undefined && method !== 'mocan' && method !== 'pecan') {
    throw new UserError(`--method: expected mocan or pecan, got ${method}`);
  }
  const opened: Opened[] = [];
  for (const each of ['mocan', 'pecan'] as const) {
    if (method !== undefined && each !== method) continue;
    const config = parseConfig({ device: 'cpu', ...(await demoOptions(each)) }, 'the demo');
    const sources = sourcesOf(config, flags, progress);
    const run = await Run.open(new DiskFolder(`${flags.out}/runs/${each}/base`), runtimeName());
    run.configure(config, false);
    const base: Context = { run, config, sources, progress };
    if (each === 'pecan') await prealign(base);
    await collect(base);
    await score(base);
    await evaluateReference(base);
    opened.push({
      subject: { method: each, base, open: opener(flags.out, each) },
      close: () => sources.close(),
    });
  }
  return opened;
}

/** The run's policies side by side, by its own scores and by measures that took no part in it. */
import { keyOf } from '../random.ts';
import type { Alignment, Comparison } from '../report/data.ts';
import { COMPARISON, EVALUATION_ALIGNED, EVALUATION_REFERENCE } from './artefacts.ts';
import { baselineAnswers } from './baselines.ts';
import { bootstrapMean } from './bootstrap.ts';
import { perPrompt } from './compare.ts';
import { type Context, scorerName } from './context.ts';
import { type EvaluationRow, parseEvaluationRows } from './rows.ts';
import { scoreWith } from './score.ts';
import { readArtefact, runStage } from './stage.ts';

/** A policy of the run and the file of its scored responses to the held-out prompts. */
interface Answers {
  readonly name: Alignment['name'];
  readonly path: string;
}

/** Scores every policy's held-out responses by the run's measures. Writes comparison.json where there is something to compare. */
export async function compareAlignments(context: Context): Promise<Comparison | undefined> {
  const { run, config, sources } = context;
  if (config.measures.length === 0 && config.baselines.length === 0) return undefined;
  const answers: Answers[] = [
    { name: 'reference', path: EVALUATION_REFERENCE },
    { name: 'aligned', path: EVALUATION_ALIGNED },
    ...config.baselines.map((name): Answers => ({ name, path: baselineAnswers(name) })),
  ];
  await runStage(context, {
    name: 'compare',
    settings: {
      seed: config.seed,
      answers: await Promise.all(answers.map(({ path }) => run.hash(path))),
      measures: await Promise.all(
        config.measures.map(async ({ scorer, cost }) => ({
          cost,
          scorer: await sources.scorer(scorer).hash(),
        })),
      ),
    },
    outputs: [COMPARISON],
    note: `${answers.length} policies by ${config.measures.length} measures`,
    work: async () => {
      const comparison = await compareAll(context, answers);
      await run.folder.write(COMPARISON, `${JSON.stringify(comparison, null, 2)}\n`);
    },
  });
  return JSON.parse(await readArtefact(context, COMPARISON, 'align')) as Comparison;
}

type MeasuredRow = EvaluationRow & { readonly measured: readonly number[] };

async function compareAll(context: Context, answers: readonly Answers[]): Promise<Comparison> {
  const { measures, constraints, seed } = context.config;
  const key = keyOf(seed, 'bootstrap');
  const all = await Promise.all(answers.map(({ path }) => measuredRows(context, path)));
  return {
    measures: measures.map(({ scorer, cost }, j) => ({
      name: scorerName(scorer),
      cost,
      share: all.flat().every(({ measured }) => measured[j] === 0 || measured[j] === 1),
    })),
    alignments: answers.map(({ name }, i) => {
      const estimate = (value: (row: MeasuredRow) => number) => bootstrapMean(perPrompt(all[i], value), key);
      return {
        name,
        reward: estimate(({ reward }) => reward),
        safety: constraints.map((_, j) => estimate(({ safety }) => safety[j])),
        measured: measures.map((_, j) => estimate(({ measured }) => measured[j])),
      };
    }),
  };
}

async function measuredRows(context: Context, path: string): Promise<MeasuredRow[]> {
  const { config, sources } = context;
  const rows = parseEvaluationRows(
    await readArtefact(context, path, 'evaluate'),
    path,
    config.constraints.length,
  );
  const columns: Float64Array[] = [];
  for (const { scorer } of config.measures) {
    columns.push(await scoreWith(await sources.scorer(scorer).load(), rows));
  }
  return rows.map((row, index) => ({ ...row, measured: columns.map((column) => column[index]) }));
}

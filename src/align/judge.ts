import { BlockLog } from '../data/jsonl.ts';
import type { Judge, Question, Verdict } from '../judge/judge.ts';
import { winRate } from '../judge/win_rate.ts';
import { keyOf, Random } from '../random.ts';
import type { Judgement } from '../report/data.ts';
import { EVALUATION_ALIGNED, EVALUATION_REFERENCE, JUDGEMENT, JUDGEMENTS } from './artefacts.ts';
import type { Context } from './context.ts';
import { drawIndex } from './decoding.ts';
import { readEvaluationRows } from './evaluate.ts';
import { type EvaluationRow, groupByPrompt } from './rows.ts';
import { runStage } from './stage.ts';

const QUESTIONS: readonly Question[] = ['helpfulness', 'safety'];
/** Comparisons between two writes, so that a killed run repeats at most this many. */
const BLOCK = 32;

/** judgements.jsonl: an answer of the aligned policy against one of the reference, and how far it wins; null: no verdict. */
interface JudgementRow {
  readonly prompt_index: number;
  readonly aligned: string;
  readonly reference: string;
  readonly helpfulness: number | null;
  readonly safety: number | null;
}

/**
 * Pairwise win rates of the aligned policy over the reference on the held-out prompts, by a judge that is none of the run's
 * scorers (Huang et al. 2024, §5). Compares the first `responses` answers to each prompt. Writes judgement.json.
 */
export async function judge(context: Context, by: Judge, responses: number): Promise<Judgement> {
  const { run, config, progress } = context;
  const { reference, aligned } = await readEvaluationRows(context);
  const comparisons = compared(reference, aligned, responses, config.seed);
  await runStage(context, {
    name: 'judge',
    settings: {
      judge: by.name,
      ...by.settings,
      responses,
      seed: config.seed,
      reference: await run.hash(EVALUATION_REFERENCE),
      aligned: await run.hash(EVALUATION_ALIGNED),
    },
    outputs: [JUDGEMENTS, JUDGEMENT],
    partials: [`${JUDGEMENTS}.partial`],
    note: `${comparisons.length} comparisons by ${by.name}`,
    work: async () => {
      const log = await BlockLog.open<JudgementRow>(run.folder, JUDGEMENTS, BLOCK);
      const total = comparisons.length;
      progress.advance(log.rows.length, total, 'comparisons');
      while (log.rows.length < total) {
        const block = comparisons.slice(log.rows.length, log.rows.length + BLOCK);
        const verdicts: Verdict[][] = [];
        for (const question of QUESTIONS) verdicts.push(await by.compare(question, block));
        await log.append(
          block.map(({ prompt_index, first, second }, i) => ({
            prompt_index,
            aligned: first,
            reference: second,
            helpfulness: verdicts[0][i] ?? null,
            safety: verdicts[1][i] ?? null,
          })),
        );
        progress.advance(log.rows.length, total, 'comparisons');
      }
      await log.finish();
      const judgement: Judgement = {
        judge: by.name,
        rates: QUESTIONS.map((question) =>
          winRate(question, byPrompt(log.rows, question), keyOf(config.seed, `judge ${question}`)),
        ),
      };
      await run.folder.write(JUDGEMENT, `${JSON.stringify(judgement, null, 2)}\n`);
    },
  });
  return JSON.parse(await run.folder.readText(JUDGEMENT)) as Judgement;
}

/** Answers to the same prompt, drawn with the same random numbers. */
function compared(
  reference: readonly EvaluationRow[],
  aligned: readonly EvaluationRow[],
  responses: number,
  seed: number,
) {
  const after = groupByPrompt(aligned);
  return groupByPrompt(reference).flatMap((before, prompt_index) => {
    const answers = answersOf(after[prompt_index], responses, new Random(keyOf(seed, 'judge'), prompt_index));
    return answers.map(({ prompt, response }, k) => ({
      prompt_index,
      prompt,
      first: response,
      second: before[k % before.length].response,
    }));
  });
}

/** Candidates of a resampling are drawn by their weights. */
function answersOf(group: readonly EvaluationRow[], count: number, random: Random): EvaluationRow[] {
  if (group[0].weight === undefined) return group.slice(0, count);
  const weights = group.map(({ weight }) => weight!);
  return Array.from({ length: Math.min(count, group.length) }, () => group[drawIndex(weights, random)]);
}

function byPrompt(rows: readonly JudgementRow[], question: Question): Verdict[][] {
  const groups: Verdict[][] = [];
  for (const row of rows) {
    groups[row.prompt_index] ??= [];
    groups[row.prompt_index].push(row[question] ?? undefined);
  }
  return groups;
}

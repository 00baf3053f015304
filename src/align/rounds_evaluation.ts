import type { Evaluation, RoundSummary } from '../report/data.ts';
import { DUAL, EVALUATION, EVALUATION_REFERENCE, ROUND, ROUNDS_SUMMARY } from './artefacts.ts';
import { compare } from './compare.ts';
import type { Context } from './context.ts';
import { drawFrom } from './decoding.ts';
import { readDual } from './dual.ts';
import { evaluatePolicy } from './evaluate.ts';
import { type Round, roundOf } from './rounds.ts';
import { type EvaluationRow, parseEvaluationRows } from './rows.ts';
import { readArtefact, runStage } from './stage.ts';
import { trainedSettings } from './trained.ts';

const ANSWERS = 'evaluation.jsonl';

/** Evaluates the policy of every round but the last, which is the run's, on the held-out prompts. Writes rounds.json. */
export async function evaluateRounds(context: Context): Promise<void> {
  const { run, config } = context;
  const earlier = Array.from({ length: config.rounds - 1 }, (_, index) => roundOf(context, index + 1));
  for (const part of earlier) {
    await evaluatePolicy(part, {
      name: 'evaluate',
      path: ANSWERS,
      settings: () => trainedSettings(part, part.run.folder),
      draw: (prompts, scoreRows, target) => drawFrom(part, part.run.folder, prompts, scoreRows, target),
    });
  }
  const answers = await Promise.all(earlier.map(({ run: part }) => part.hash(ANSWERS)));
  const solved = Array.from({ length: config.rounds - 1 }, (_, index) =>
    roundOf(context, index + 2).run.hash(ROUND),
  );
  await runStage(context, {
    name: 'rounds',
    settings: {
      dual: await run.hash(DUAL),
      rounds: await Promise.all(solved),
      answers,
      evaluation: await run.hash(EVALUATION),
    },
    outputs: [ROUNDS_SUMMARY],
    work: async () => {
      const rounds = await summarise(context, earlier);
      await run.folder.write(ROUNDS_SUMMARY, `${JSON.stringify(rounds, null, 2)}\n`);
    },
  });
}

async function summarise(context: Context, earlier: readonly Context[]): Promise<RoundSummary[]> {
  const { config } = context;
  const dual = await readDual(context);
  const rowsOf = async (part: Context, path: string): Promise<EvaluationRow[]> =>
    parseEvaluationRows(await readArtefact(part, path, 'evaluate'), path, dual.lambda.length);
  const reference = await rowsOf(context, EVALUATION_REFERENCE);
  const solved: Round[] = [];
  for (let round = 2; round <= config.rounds; round++) {
    const text = await readArtefact(roundOf(context, round), ROUND, 'train');
    solved.push(JSON.parse(text) as Round);
  }
  const evaluations: Evaluation[] = [];
  for (const part of earlier) {
    evaluations.push(await compare(dual, reference, await rowsOf(part, ANSWERS), config.seed));
  }
  evaluations.push(JSON.parse(await readArtefact(context, EVALUATION, 'evaluate')) as Evaluation);
  return evaluations.map(({ aligned, gain, verdicts }, index) => {
    const { lambda, expected: predicted, ess } = index === 0 ? dual : asSolved(solved[index - 1]);
    return {
      lambda,
      predicted,
      // What the next round drew from this one's policy.
      ...(index < solved.length ? { achieved: solved[index].achieved } : {}),
      essMedian: ess.median,
      heldOut: { ...aligned, gain: gain.safety, verdicts },
    };
  });
}

function asSolved({ predicted, ...round }: Round) {
  return { ...round, expected: predicted };
}

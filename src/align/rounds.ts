/** Iterative dualization: training in rounds, λ found again from what the policy has come to answer. */
import { parseJsonl, toJsonl } from '../data/jsonl.ts';
import { UserError } from '../errors.ts';
import type { StepMetrics } from '../train/loop.ts';
import { METRICS, PAIRS, ROUND, ROUNDS, SCORES } from './artefacts.ts';
import { collectFrom } from './collect.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { readDual } from './dual.ts';
import { trainPairs } from './pair_training.ts';
import { productOf } from './products.ts';
import { type Redualized, redualize } from './redualize.ts';
import { partOf, trainNext } from './round.ts';
import { parsePairRows, parseScoreRows } from './rows.ts';
import { score } from './score.ts';
import { readArtefact, runStage } from './stage.ts';
import { copyTrained, trainedFiles, trainedSettings } from './trained.ts';

/** The context of a round, whose artefacts lie in a folder of its own. */
export function roundOf(context: Context, round: number): Context {
  return partOf(context, `round ${round}`, `${ROUNDS}/${round}`);
}

/**
 * As many rounds of training as set. The first is one-shot. Each later one samples the policy as trained, scores, finds λ
 * again, labels by it and trains the same policy on. The last one is the run's.
 */
export async function trainRounds(context: Context): Promise<void> {
  const { run, config } = context;
  const { beta } = need(config, 'beta');
  refuseOtherRounds(context);
  const dual = await readDual(context);
  let before = roundOf(context, 1);
  const rows = parsePairRows(await readArtefact(context, PAIRS, 'label'), PAIRS);
  const product = await productOf(before);
  await trainPairs(before, { rows, hash: await run.hash(PAIRS), beta, product });
  let { lambda } = dual;
  for (let round = 2; round <= config.rounds; round++) {
    const part = roundOf(context, round);
    await collectFrom(part, before.run);
    await score(part);
    ({ lambda } = await solveRound(part, lambda, beta, dual.thresholds));
    const { round_epochs = config.num_train_epochs } = config;
    const again = { ...part, config: { ...config, num_train_epochs: round_epochs } };
    await trainNext(again, { lambda, from: before.run });
    before = part;
  }
  await takeLast(context, before);
}

/** Says that the run ended with another number of rounds before hours go into more. */
function refuseOtherRounds({ run, config }: Context): void {
  const earlier = run.earlier('train');
  if (earlier === undefined || (earlier.rounds ?? 1) === config.rounds) return;
  throw new UserError(
    `${run.folder.name}: its policy was trained in ${earlier.rounds ?? 1} round(s), now asked for ${config.rounds}; ` +
      'give the same --rounds to go on, another --out for a new run, or --redo to replace that policy: rounds that are done are kept',
  );
}

/** What round.json holds. */
export type Round = Redualized;

async function solveRound(
  context: Context,
  previous: readonly number[],
  beta: number,
  thresholds: readonly number[],
): Promise<Round> {
  const { run, progress } = context;
  const rows = parseScoreRows(await readArtefact(context, SCORES, 'align'), SCORES, thresholds.length);
  await runStage(context, {
    name: 'dual',
    settings: { scores: await run.hash(SCORES), beta, thresholds, previous },
    outputs: [ROUND],
    work: async () => {
      const round: Round = await redualize(rows, previous, beta, thresholds);
      if (round.aim.some((aim, j) => aim < thresholds[j])) {
        progress.say(
          '  The thresholds are out of reach of what the policy answers now: λ goes a part of the way.',
        );
      }
      await run.folder.write(ROUND, `${JSON.stringify(round, null, 2)}\n`);
    },
  });
  return JSON.parse(await readArtefact(context, ROUND, 'align')) as Round;
}

/** The last round's policy is the run's, with the metrics of all rounds. */
async function takeLast(context: Context, last: Context): Promise<void> {
  const { run, config } = context;
  await runStage(context, {
    name: 'train',
    settings: { rounds: config.rounds, ...(await trainedSettings(context, last.run.folder)) },
    outputs: [...(await trainedFiles(context)), METRICS],
    note: `the policy of round ${config.rounds}`,
    work: async () => {
      await copyTrained(context, last.run.folder, run.folder);
      const metrics: StepMetrics[] = [];
      for (let round = 1; round <= config.rounds; round++) {
        const text = await readArtefact(roundOf(context, round), METRICS, 'train');
        const done = metrics.length;
        const rows = parseJsonl(text, METRICS, (row) => row as StepMetrics);
        metrics.push(...rows.map((row) => ({ ...row, step: done + row.step, round })));
      }
      await run.folder.write(METRICS, toJsonl(metrics));
    },
  });
}

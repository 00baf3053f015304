import { BlockLog } from '../data/jsonl.ts';
import { UserError } from '../errors.ts';
import type { Scorer } from '../score/scorer.ts';
import { SAMPLES, SCORES } from './artefacts.ts';
import { limitsOf, need } from './config.ts';
import { type Context, scorerName } from './context.ts';
import { parseSampleRows, type ScoreRow } from './rows.ts';
import { readArtefact, runStage } from './stage.ts';

/** The run's scorers, with −1 as the sign of a cost. */
export interface Scorers {
  readonly reward: Scorer;
  readonly safety: readonly { readonly scorer: Scorer; readonly sign: 1 | -1 }[];
}

export interface Scored {
  readonly reward: number;
  readonly safety: readonly number[];
}

export async function loadScorers({ config, sources }: Context): Promise<Scorers> {
  const { reward, constraints } = need(config, 'reward');
  return {
    reward: await sources.scorer(reward).load(),
    safety: await Promise.all(
      constraints.map(async ({ scorer, cost }) => ({
        scorer: await sources.scorer(scorer).load(),
        sign: cost ? (-1 as const) : (1 as const),
      })),
    ),
  };
}

/** Hashes of the scorers, in order: what scores depend on besides the texts. */
export async function scorerSettings({ config, sources }: Context): Promise<Record<string, unknown>> {
  const { reward, constraints } = need(config, 'reward');
  return {
    reward: await sources.scorer(reward).hash(),
    constraints: await Promise.all(
      constraints.map(async ({ scorer, cost }) => ({ cost, scorer: await sources.scorer(scorer).hash() })),
    ),
  };
}

/** Scores of responses by every scorer. */
export async function scoreRows(
  scorers: Scorers,
  rows: readonly { readonly prompt: string; readonly response: string }[],
): Promise<Scored[]> {
  const reward = await scoreWith(scorers.reward, rows);
  const safety: Float64Array[] = [];
  for (const { scorer, sign } of scorers.safety) {
    safety.push((await scoreWith(scorer, rows)).map((score) => sign * score));
  }
  return rows.map((_, index) => ({ reward: reward[index], safety: safety.map((scores) => scores[index]) }));
}

async function scoreWith(
  scorer: Scorer,
  rows: readonly { readonly prompt: string; readonly response: string }[],
): Promise<Float64Array> {
  const scores = await scorer.score(rows);
  const bad = scores.findIndex((score) => !Number.isFinite(score));
  if (bad >= 0) {
    throw new UserError(
      `${scorerName(scorer.name)}: expected a finite score, got ${scores[bad]} for ${JSON.stringify(rows[bad].response.slice(0, 60))}`,
    );
  }
  return scores;
}

/** Rows scored between two writes, so that a killed run repeats at most this many. */
const BLOCK = 1024;

/** MoCAN step 2: rewards and safety scores of the samples. Writes scores.jsonl. */
export async function score(context: Context): Promise<void> {
  const { run, config, progress } = context;
  if (await run.isGiven('score', SCORES)) {
    progress.stage('score', 'given');
    return;
  }
  need(config, 'reward');
  if (config.constraints.length === 0) limitsOf(config);
  const samples = parseSampleRows(await readArtefact(context, SAMPLES, 'collect'), SAMPLES);
  await runStage(context, {
    name: 'score',
    settings: { samples: await run.hash(SAMPLES), ...(await scorerSettings(context)) },
    outputs: [SCORES],
    partials: [`${SCORES}.partial`],
    note: `${samples.length} responses by ${1 + config.constraints.length} scorers`,
    work: async () => {
      const scorers = await loadScorers(context);
      const log = await BlockLog.open<ScoreRow>(run.folder, SCORES, BLOCK);
      progress.advance(log.rows.length, samples.length, 'responses');
      while (log.rows.length < samples.length) {
        const block = samples.slice(log.rows.length, log.rows.length + BLOCK);
        const scored = await scoreRows(scorers, block);
        await log.append(
          block.map(({ prompt, response }, index) => ({ prompt, response, ...scored[index] })),
        );
        progress.advance(log.rows.length, samples.length, 'responses');
      }
      await log.finish();
    },
  });
}

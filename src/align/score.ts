import { BlockLog } from '../data/jsonl.ts';
import type { Prompt } from '../data/messages.ts';
import { UserError } from '../errors.ts';
import type { Policy } from '../model/policy.ts';
import type { Scorer } from '../score/scorer.ts';
import { mebibytes, mostOf } from '../train/memory_plan.ts';
import { SAMPLES, SCORES } from './artefacts.ts';
import { limitsOf, need } from './config.ts';
import { type Context, scorerName } from './context.ts';
import { roomOf } from './fitting.ts';
import { implicitScores, implicitSettings, planImplicit } from './implicit.ts';
import { parseSampleRows, type SampleRow, type ScoreRow } from './rows.ts';
import { readArtefact, runStage } from './stage.ts';

/** A response to score; its tokens where they are known. */
export interface TextRow {
  readonly prompt: Prompt;
  readonly response: string;
  readonly prompt_ids?: readonly number[];
  readonly response_ids?: readonly number[];
}

export interface Scored {
  readonly reward: number;
  readonly safety: readonly number[];
}

/** Reward and safety of each row, in order. `reference` is the run's policy, where its weights are being trained. */
export type ScoreRows = (rows: readonly TextRow[], reference?: Policy) => Promise<Scored[]>;

/** Drawn responses with their scores. */
export async function scoreSamples(rows: readonly SampleRow[], scoreRows: ScoreRows): Promise<ScoreRow[]> {
  const scores = await scoreRows(rows);
  return rows.map(({ prompt, response }, index) => ({ prompt, response, ...scores[index] }));
}

/** What scores a run's responses: its scorers, or for PeCAN its pre-aligned policies. */
export async function loadScorers(context: Context): Promise<ScoreRows> {
  const { config, sources } = context;
  if (config.method === 'pecan') return implicitScores(context);
  const { reward, constraints } = need(config, 'reward');
  const rewardScorer = await sources.scorer(reward).load();
  const safetyScorers = await Promise.all(constraints.map(({ scorer }) => sources.scorer(scorer).load()));
  return async (rows) => {
    const rewards = await scoreWith(rewardScorer, rows);
    const safety: Float64Array[] = [];
    for (const [j, scorer] of safetyScorers.entries()) {
      const sign = constraints[j].cost ? -1 : 1;
      safety.push((await scoreWith(scorer, rows)).map((score) => sign * score));
    }
    return rows.map((_, index) => ({
      reward: rewards[index],
      safety: safety.map((scores) => scores[index]),
    }));
  };
}

/** Hashes of the scorers, in order: what scores depend on besides the texts. */
export async function scorerSettings(context: Context): Promise<Record<string, unknown>> {
  const { config, sources } = context;
  if (config.method === 'pecan') return implicitSettings(context);
  const { reward, constraints } = need(config, 'reward');
  return {
    reward: await sources.scorer(reward).hash(),
    constraints: await Promise.all(
      constraints.map(async ({ scorer, cost }) => ({ cost, scorer: await sources.scorer(scorer).hash() })),
    ),
  };
}

/** A scorer's scores of the rows, each finite. */
export async function scoreWith(scorer: Scorer, rows: readonly TextRow[]): Promise<Float64Array> {
  const scores = await scorer.score(rows);
  const bad = scores.findIndex((score) => !Number.isFinite(score));
  if (bad >= 0) {
    throw new UserError(
      `${scorerName(scorer.name)}: expected a finite score, got ${scores[bad]} for ${JSON.stringify(rows[bad].response.slice(0, 60))}`,
    );
  }
  return scores;
}

/** What scoring holds on the device, in words: refused where there is no room, before any weight is loaded. */
async function planScoring(context: Context, rows: readonly TextRow[]): Promise<string> {
  if (context.config.method === 'pecan') return `, ${mebibytes(await planImplicit(context, rows))} MiB`;
  const room = await roomOf(context);
  const { taken = 0 } = room;
  if (taken === 0) return '';
  const most = mostOf(room);
  if (taken > most) {
    throw new UserError(
      `memory: the scorers' weights take ${mebibytes(taken)} MiB, more than ${mebibytes(most)} MiB`,
      2,
      ['use smaller scorers, or ones with model.onnx', 'allow more with --memory'],
    );
  }
  return `, ${mebibytes(taken)} MiB`;
}

/** Rows scored between two writes, so that a killed run repeats at most this many. */
const BLOCK = 1024;

/** Step 2: rewards and safety scores of the samples. Writes scores.jsonl. */
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
    note: async () =>
      `${samples.length} responses by ${1 + config.constraints.length} scorers${await planScoring(context, samples)}`,
    work: async () => {
      const scoreRows = await loadScorers(context);
      const log = await BlockLog.open<ScoreRow>(run.folder, SCORES, BLOCK);
      progress.advance(log.rows.length, samples.length, 'responses');
      while (log.rows.length < samples.length) {
        const block = samples.slice(log.rows.length, log.rows.length + BLOCK);
        await log.append(await scoreSamples(block, scoreRows));
        progress.advance(log.rows.length, samples.length, 'responses');
      }
      await log.finish();
    },
  });
}

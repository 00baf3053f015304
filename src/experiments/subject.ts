/** What an experiment is made on: a run that has been sampled and scored, and a place for runs that go on from it. */
import { SCORES } from '../align/artefacts.ts';
import { need, type RunConfig } from '../align/config.ts';
import type { Context } from '../align/context.ts';
import { tableOf } from '../align/dual.ts';
import type { Progress } from '../align/progress.ts';
import { parseScoreRows, type ScoreRow } from '../align/rows.ts';
import { readArtefact } from '../align/stage.ts';
import type { Run } from '../data/run.ts';
import { type ScoreTable, solveDual } from '../dual/index.ts';
import { UserError } from '../errors.ts';

export interface Subject {
  readonly method: RunConfig['method'];
  /** The run itself, which is only read. */
  readonly base: Context;
  /** A run of the experiment's own, by name; empty, or as it was left. */
  open(name: string): Promise<Run>;
}

/** Scores of a subject's reference samples. */
export interface Scores {
  readonly rows: readonly ScoreRow[];
  readonly table: ScoreTable;
  readonly beta: number;
  /** Means of the reference. */
  readonly reference: { readonly reward: number; readonly safety: number };
  /** The largest mean safety that these responses can reach. */
  readonly reachable: number;
}

/** @throws UserError unless the run has one constraint and its scores. */
export async function scoresOf({ base }: Subject): Promise<Scores> {
  const { config, run } = base;
  if (config.constraints.length !== 1) {
    throw new UserError(
      `${run.folder.name}: expected a run with one constraint, whose margin can be moved, got ${config.constraints.length}`,
    );
  }
  const { beta } = need(config, 'beta');
  const rows = parseScoreRows(await readArtefact(base, SCORES, 'score'), SCORES, 1);
  const table = tableOf(rows);
  // Any threshold: asked are the reference's means and the reach.
  const { reference, reachable } = await solveDual({ ...table, beta, thresholds: [-1e99] });
  return {
    rows,
    table,
    beta,
    reference: { reward: reference.reward, safety: reference.safety[0] },
    reachable: reachable[0],
  };
}

/** Stages that do not depend on the margin. */
const SHARED = /^(collect|score|evaluate reference|pre-align .*)$/;

/** A run that goes on from the subject's samples, scores and reference answers, with some settings changed. */
export async function goOn(subject: Subject, name: string, changes: Partial<RunConfig>): Promise<Context> {
  const { base } = subject;
  const run = await subject.open(name);
  const config = { ...base.config, baselines: [], rounds: 1, ...changes };
  const stages = Object.keys(base.run.manifest.stages).filter((stage) => SHARED.test(stage));
  await run.inherit(base.run, stages);
  // Scores of the user's own belong to no stage.
  if (!(await run.folder.exists(SCORES))) await run.folder.write(SCORES, await base.run.folder.read(SCORES));
  run.configure(config, false);
  return { ...base, run, config, progress: named(base.progress, name) };
}

/** Tells which run a stage is of. */
function named(progress: Progress, name: string): Progress {
  return {
    ...progress,
    stage: (stage, state, note) => {
      if (state === 'started') progress.stage(`${name}: ${stage}`, state, note);
    },
  };
}

/** How pages and tables call a method. */
export const METHOD_NAMES = { mocan: 'MoCAN', pecan: 'PeCAN' } as const;

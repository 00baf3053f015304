/** The usual way to align under constraints, to compare with: policy and multipliers in turns. */
import { subfolder } from '../data/folder.ts';
import type { Run } from '../data/run.ts';
import { SCORES } from './artefacts.ts';
import { mean } from './bootstrap.ts';
import { collectFrom } from './collect.ts';
import { need } from './config.ts';
import type { Context } from './context.ts';
import { readDual } from './dual.ts';
import { partOf, trainNext } from './round.ts';
import { groupByPrompt, parseScoreRows, type ScoreRow } from './rows.ts';
import { score } from './score.ts';
import { readArtefact, runStage } from './stage.ts';
import { copyTrained, trainedFiles, trainedSettings } from './trained.ts';

/** A check of the policy so far, and the λ that it was then trained on with; none after the last check. */
export interface Iteration {
  readonly reward: number;
  readonly safety: readonly number[];
  /** Whether every mean safety is at its threshold or above. */
  readonly met: boolean;
  readonly lambda?: readonly number[];
}

/** Checks in a row that have to find the constraints met. */
const STEADY = 2;

export const ITERATIONS = 'iterations.json';

/**
 * A primal-dual method as PPO-Lagrangian (Ray et al. 2019) and CAID (Zhang et al. 2025) are: sample the policy, step λ
 * along the dual's gradient, λ ← [λ − η·(E[g] − threshold)]₊, and train the policy on by one epoch of DPO on those
 * samples, labelled by r + λᵀg. Ends when two checks in a row find the thresholds met on the training prompts, or at the
 * most iterations allowed. Writes adapter/, or model/, and iterations.json into `folder`.
 */
export async function primalDual(context: Context, folder: string): Promise<readonly Iteration[]> {
  const { run, config } = context;
  const { thresholds } = await readDual(context);
  const short = { ...context, config: { ...config, num_train_epochs: 1 } };
  const iteration = (number: number) => partOf(short, `primal-dual ${number}`, `${folder}/${number}`);
  const iterations: Iteration[] = [];
  let rows = await scoresOf(context, thresholds.length);
  const rates = config.dual_learning_rate
    ? thresholds.map(() => config.dual_learning_rate!)
    : naturalRates(rows, need(config, 'beta').beta);
  let lambda = thresholds.map(() => 0);
  let before: Run | undefined;
  for (let steady = 0; ; ) {
    const reward = mean(rows.map((row) => row.reward));
    const safety = thresholds.map((_, j) => mean(rows.map((row) => row.safety[j])));
    const met = thresholds.every((bound, j) => safety[j] >= bound);
    steady = met ? steady + 1 : 0;
    if (before && (steady >= STEADY || iterations.length >= config.primal_dual_iterations)) {
      iterations.push({ reward, safety, met });
      break;
    }
    lambda = lambda.map((value, j) => Math.max(0, value - rates[j] * (safety[j] - thresholds[j])));
    iterations.push({ reward, safety, met, lambda });
    const number = iterations.length;
    const part = iteration(number);
    // The run's own samples are the reference's, and serve for the first update.
    await trainNext(part, { lambda, of: [before ? part.run : run], from: before });
    before = part.run;
    const next = iteration(number + 1);
    await collectFrom(next, before);
    await score(next);
    rows = await scoresOf(next, thresholds.length);
  }
  await runStage(context, {
    name: 'primal-dual',
    settings: { rates, thresholds, ...(await trainedSettings(context, before.folder)) },
    outputs: [...(await trainedFiles(context)), ITERATIONS].map((file) => `${folder}/${file}`),
    note: `${iterations.length - 1} updates of the policy`,
    work: async () => {
      await copyTrained(context, before.folder, subfolder(run.folder, folder));
      await run.folder.write(`${folder}/${ITERATIONS}`, `${JSON.stringify(iterations, null, 2)}\n`);
    },
  });
  return iterations;
}

async function scoresOf(context: Context, constraints: number): Promise<ScoreRow[]> {
  return parseScoreRows(await readArtefact(context, SCORES, 'score'), SCORES, constraints);
}

/** Newton's step at λ = 0 where the reward says nothing of g: 1/D'' = β/mean variance of g over a prompt's responses. */
function naturalRates(rows: readonly ScoreRow[], beta: number): number[] {
  const groups = groupByPrompt(rows);
  return rows[0].safety.map((_, j) => {
    const variances = groups.map((group) => {
      const centre = mean(group.map(({ safety }) => safety[j]));
      return mean(group.map(({ safety }) => (safety[j] - centre) ** 2));
    });
    return beta / Math.max(mean(variances), Number.MIN_VALUE);
  });
}

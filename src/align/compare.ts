import { keyOf } from '../random.ts';
import type { Evaluation } from '../report/data.ts';
import { loadWasm } from '../wasm.ts';
import { bootstrapMean, mean } from './bootstrap.ts';
import { predict, type SolvedRunDual } from './dual.ts';
import { type EvaluationRow, groupByPrompt } from './rows.ts';

/** Per-prompt means of one quantity. */
export function perPrompt<R extends EvaluationRow>(rows: readonly R[], value: (row: R) => number): number[] {
  return groupByPrompt(rows).map((group) => mean(group.map((row) => share(row, group) * value(row))));
}

/** How often a row stands for an answer, with 1 the mean over its prompt's. */
function share({ weight }: EvaluationRow, group: readonly EvaluationRow[]): number {
  return weight === undefined ? 1 : weight * group.length;
}

/** The mean of log π/π_ref over a prompt's answers; of a resampling, that of its weights from equal ones. */
function divergence(group: readonly EvaluationRow[], log: (x: number) => number): number {
  return mean(
    group.map((row) => {
      const { weight, logps } = row;
      if (weight === 0) return 0;
      const logRatio = weight === undefined ? logps![0] - logps![1] : log(share(row, group));
      return share(row, group) * logRatio;
    }),
  );
}

/**
 * What was achieved on held-out prompts, beside the reference on the same prompts and the prediction for them.
 * Intervals resample prompts, in pairs for the gains. KL is the mean of log π/π_ref over the
 * aligned policy's samples.
 */
export async function compare(
  dual: SolvedRunDual,
  reference: readonly EvaluationRow[],
  aligned: readonly EvaluationRow[],
  seed: number,
): Promise<Evaluation> {
  const key = keyOf(seed, 'bootstrap');
  const { log } = await loadWasm();
  const estimate = (rows: readonly EvaluationRow[], value: (row: EvaluationRow) => number) =>
    bootstrapMean(perPrompt(rows, value), key);
  const gainOf = (value: (row: EvaluationRow) => number) => {
    const before = perPrompt(reference, value);
    return bootstrapMean(
      perPrompt(aligned, value).map((after, index) => after - before[index]),
      key,
    );
  };
  const reward = (row: EvaluationRow) => row.reward;
  const safety = dual.limits.map((_, j) => (row: EvaluationRow) => row.safety[j]);
  const gains = safety.map(gainOf);
  const referenceSafety = safety.map((value) => estimate(reference, value));
  const alignedSafety = safety.map((value) => estimate(aligned, value));
  return {
    prompts: groupByPrompt(reference).length,
    responses: Math.round(reference.length / groupByPrompt(reference).length),
    reference: { reward: estimate(reference, reward), safety: referenceSafety },
    aligned: {
      reward: estimate(aligned, reward),
      safety: alignedSafety,
      kl: bootstrapMean(
        groupByPrompt(aligned).map((group) => divergence(group, log)),
        key,
      ),
    },
    gain: { reward: gainOf(reward), safety: gains },
    predicted: await predict(reference, dual),
    bounds: dual.limits.map(({ kind, value }, j) =>
      kind === 'margin' ? value + referenceSafety[j].mean : value,
    ),
    // A margin is a promise about the gain, so its verdict is freed of the luck of the prompts drawn.
    verdicts: dual.limits.map(({ kind, value }, j) => {
      const [low, high] = (kind === 'margin' ? gains[j] : alignedSafety[j]).interval;
      return low >= value ? 'met' : high < value ? 'not met' : 'uncertain';
    }),
  };
}

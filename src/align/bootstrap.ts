import type { Key } from '../random.ts';
import { Random } from '../random.ts';
import type { Estimate } from '../report/data.ts';

const REPLICATES = 2000;

/** Mean of one value per prompt and its 95 % percentile interval, resampling prompts (Efron & Tibshirani 1993, ch. 13). */
export function bootstrapMean(perPrompt: readonly number[], key: Key): Estimate {
  const n = perPrompt.length;
  const random = new Random(key);
  const means = new Float64Array(REPLICATES);
  for (let replicate = 0; replicate < REPLICATES; replicate++) {
    let sum = 0;
    for (let draw = 0; draw < n; draw++) sum += perPrompt[random.below(n)];
    means[replicate] = sum / n;
  }
  means.sort();
  const low = means[Math.floor(0.025 * REPLICATES)];
  const high = means[Math.ceil(0.975 * REPLICATES) - 1];
  return { mean: mean(perPrompt), interval: [low, high] };
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

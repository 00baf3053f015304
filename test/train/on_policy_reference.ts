/** Losses of GRPO and RLOO in plain f64 loops, from TRL's formulas and a plain forward pass: what on_policy.test.ts compares with. */
import type { Adapter } from '../../src/model/lora.ts';
import type { GrpoConfig, RlooConfig } from '../../src/train/on_policy_config.ts';
import { type Config, plainLogits } from '../model/plain.ts';
import { type Tensors, tinyConfig } from '../model/tiny.ts';

export interface Sequence {
  readonly promptIds: readonly number[];
  readonly completionIds: readonly number[];
}

/** One row of a micro-batch; log-probs of the policy that drew it and of the reference are computed here. */
export interface PlainRow extends Sequence {
  readonly advantage: number;
  /** False where mask_truncated_completions masks it. */
  readonly counts: boolean;
}

type Weights = Map<string, { shape: number[]; data: Float64Array }>;

/** The model's weights with scale · B · A added, from flat LoRA parameters. */
export function mergedWeights(base: Tensors, adapter: Adapter, flat: ArrayLike<number>): Weights {
  const merged: Weights = new Map();
  for (const [key, { shape, data }] of base) merged.set(key, { shape, data: Float64Array.from(data) });
  const entries = [...adapter.entries()];
  for (let i = 0; i < entries.length; i += 2) {
    const [a, b] = [entries[i], entries[i + 1]];
    const key = a.key.replace('base_model.model.', '').replace('.lora_A', '');
    const [r, input] = a.shape;
    const { data } = merged.get(key)!;
    for (let row = 0; row < b.shape[0]; row++) {
      for (let column = 0; column < input; column++) {
        let sum = 0;
        for (let k = 0; k < r; k++) sum += flat[b.offset + row * r + k] * flat[a.offset + k * input + column];
        data[row * input + column] += adapter.scale * sum;
      }
    }
  }
  return merged;
}

/** Entropy of what every completion token was drawn from, at a temperature. */
export function plainEntropies(
  weights: Weights | Tensors,
  { promptIds, completionIds }: Sequence,
  temperature: number,
): number[] {
  const logits = plainLogits(tinyConfig as Config, weights, [...promptIds, ...completionIds]);
  return completionIds.map((_, t) => {
    const row = logits[promptIds.length - 1 + t].map((z) => Math.exp(z / temperature));
    const total = row.reduce((sum, value) => sum + value, 0);
    return row.reduce((sum, value) => sum - (value / total) * Math.log(value / total), 0);
  });
}

/** log p of every completion token at a temperature. */
export function plainTokenLogps(
  weights: Weights | Tensors,
  { promptIds, completionIds }: Sequence,
  temperature: number,
): number[] {
  const logits = plainLogits(tinyConfig as Config, weights, [...promptIds, ...completionIds]);
  return completionIds.map((id, t) => {
    const row = logits[promptIds.length - 1 + t].map((z) => z / temperature);
    const most = Math.max(...row);
    return row[id] - most - Math.log(row.reduce((sum, z) => sum + Math.exp(z - most), 0));
  });
}

function clip(ratio: number, { epsilon, epsilon_high }: { epsilon: number; epsilon_high: number }): number {
  return Math.min(Math.max(ratio, 1 - epsilon), 1 + (epsilon_high || epsilon));
}

/** What one micro-batch adds to a step's loss; `tokensDrawn` counts the tokens of the whole generation. */
export function plainGrpoLoss(
  rows: readonly PlainRow[],
  logps: readonly (readonly number[])[],
  old: readonly (readonly number[])[],
  ref: readonly (readonly number[])[],
  config: GrpoConfig,
  tokensDrawn: number,
  slices: number,
): { loss: number; kl: number } {
  const perToken = rows.map(({ advantage, counts }, i) =>
    logps[i].map((logp, t) => {
      const ratio = Math.exp(logp - old[i][t]);
      const weight = config.use_bias_correction_kl ? ratio : 1;
      const k3 = weight * (Math.exp(ref[i][t] - logp) - (ref[i][t] - logp) - 1);
      const gain = Math.min(ratio * advantage, clip(ratio, config) * advantage);
      return counts ? { loss: -gain + config.beta * k3, k3 } : { loss: 0, k3: 0 };
    }),
  );
  const sums = perToken.map((row) => row.reduce((sum, { loss }) => sum + loss, 0));
  const lengths = rows.map(({ counts, completionIds }) => (counts ? completionIds.length : 0));
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const total = sums.reduce((sum, value) => sum + value, 0);
  const accumulation = config.gradient_accumulation_steps;
  const kl = perToken.flat().reduce((sum, { k3 }) => sum + k3, 0) / tokens;
  const losses = {
    grpo:
      sums.reduce((sum, value, i) => sum + value / Math.max(1, lengths[i]), 0) / rows.length / accumulation,
    bnpo: total / tokens / accumulation,
    dr_grpo: total / (rows.length * config.max_completion_length) / accumulation,
    dapo: total / ((tokensDrawn * accumulation) / slices),
  };
  return { loss: losses[config.loss_type], kl };
}

export function plainRlooLoss(
  rows: readonly PlainRow[],
  logps: readonly (readonly number[])[],
  old: readonly (readonly number[])[],
  config: RlooConfig,
): number {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const losses = rows.map(({ advantage, counts }, i) => {
    const ratio = counts ? Math.exp(sum(logps[i]) - sum(old[i])) : 1;
    return -Math.min(ratio * advantage, clip(ratio, config) * advantage);
  });
  return sum(losses) / rows.length / config.gradient_accumulation_steps;
}

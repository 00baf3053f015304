/** Losses of GRPO and RLOO in plain f64 loops, from TRL's formulas and a plain forward pass: what on_policy.test.ts compares with. */
import { expect } from 'vitest';
import type { Adapter } from '../../src/model/lora.ts';
import { keyOf, Random } from '../../src/random.ts';
import type { Generated } from '../../src/train/on_policy.ts';
import {
  GRPO_DEFAULTS,
  type GrpoConfig,
  RLOO_DEFAULTS,
  type RlooConfig,
} from '../../src/train/on_policy_config.ts';
import type { RewardFunctions } from '../../src/train/rollouts.ts';
import { type Config, plainLogits } from '../model/plain.ts';
import { type Tensors, tinyConfig } from '../model/tiny.ts';

export const PROMPTS = [
  [1, 3],
  [1, 5, 7],
  [1, 9],
  [1, 4, 4, 6],
];
/** How much of a completion are the words from 10 on, less a cost of its length. */
export const rewards: RewardFunctions = {
  names: ['reward', 'safety_1'],
  weights: [1, 0.3],
  score: async (rows) =>
    rows.map(({ completionIds }) => [
      completionIds.filter((id) => id >= 10).length / completionIds.length,
      -completionIds.length / 4,
    ]),
};

export const SHARED = {
  num_generations: 4,
  per_device_train_batch_size: 8,
  max_completion_length: 5,
  learning_rate: 0.02,
  lr_scheduler_type: 'constant',
  warmup_ratio: 0,
  beta: 0.2,
  temperature: 0.8,
  seed: 3,
} as const;

export type Trainer = 'grpo' | 'rloo';
export type Options = Partial<GrpoConfig & RlooConfig>;

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

export type Weights = Map<string, { shape: number[]; data: Float64Array }>;

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

/**
 * The plain loss of a step's micro-batches at flat parameters, of completions drawn at others; `weightsAt` says what weights
 * parameters make, and of none, the reference's.
 */
export function plainLoss(
  trainer: Trainer,
  weightsAt: (flat?: ArrayLike<number>) => Weights | Tensors,
  generation: Generated,
  micro: readonly number[],
  options: Options,
  drawnAt: ArrayLike<number>,
) {
  const grpo: GrpoConfig = { ...GRPO_DEFAULTS, ...SHARED, ...options };
  const rloo: RlooConfig = { ...RLOO_DEFAULTS, ...SHARED, ...options };
  const [base, drawn] = [weightsAt(), weightsAt(drawnAt)];
  const asRow = ({ rollout, advantage }: Generated['rows'][number]): PlainRow => ({
    ...rollout,
    advantage,
    counts: rollout.finished || !grpo.mask_truncated_completions,
  });
  const tokensDrawn = generation.rows
    .map(asRow)
    .reduce((sum, { counts, completionIds }) => sum + (counts ? completionIds.length : 0), 0);
  const slices = micro.map((index) => {
    const rows = generation.slices[index].map(asRow);
    const logpsOf = (weights: Weights | Tensors) =>
      rows.map((row) => plainTokenLogps(weights, row, grpo.temperature));
    return { rows, old: logpsOf(drawn), ref: logpsOf(base) };
  });
  return (flat: ArrayLike<number>) => {
    const weights = weightsAt(flat);
    let [loss, kl] = [0, 0];
    for (const { rows, old, ref } of slices) {
      const logps = rows.map((row) => plainTokenLogps(weights, row, grpo.temperature));
      if (trainer === 'rloo') loss += plainRlooLoss(rows, logps, old, rloo);
      else {
        const part = plainGrpoLoss(rows, logps, old, ref, grpo, tokensDrawn, generation.slices.length);
        loss += part.loss;
        kl += part.kl / slices.length;
      }
    }
    return { loss, kl };
  };
}

/** Slopes of `loss` along directions of flat parameters, by central differences. */
function slope(loss: (flat: Float64Array) => number, at: ArrayLike<number>, direction: Float64Array): number {
  const step = 1e-5;
  const moved = (by: number) => Float64Array.from(at, (value, i) => value + by * direction[i]);
  return (loss(moved(step)) - loss(moved(-step))) / (2 * step);
}

/** Along the gradient itself, along random directions and along single parameters. */
export function checkGradient(
  loss: (flat: Float64Array) => number,
  at: ArrayLike<number>,
  gradients: Float32Array,
  norm: number,
): void {
  const random = new Random(keyOf(4, 'directions'));
  const directions = [
    Float64Array.from(gradients, (value) => value / norm),
    ...[0, 1].map(() => Float64Array.from(gradients, () => random.uniform() - 0.5)),
    ...Array.from({ length: 8 }, () => {
      const places = gradients.length;
      let place = random.below(places);
      while (gradients[place] === 0) place = random.below(places);
      return Float64Array.from(gradients, (_, i) => Number(i === place));
    }),
  ];
  expect(norm).toBeGreaterThan(1e-3);
  expect(Math.hypot(...gradients)).toBeCloseTo(norm, 5);
  for (const direction of directions) {
    const along = gradients.reduce((sum, value, i) => sum + value * direction[i], 0);
    expect(Math.abs(along - slope(loss, at, direction))).toBeLessThan(2e-4 * norm + 1e-6);
  }
}

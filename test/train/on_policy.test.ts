/** GRPO and RLOO on a model of a few hundred weights, against plain formulas. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { addAdapter, loadPolicy, type Policy } from '../../src/model/policy.ts';
import { keyOf, Random } from '../../src/random.ts';
import { mean } from '../../src/train/advantages.ts';
import { type Generated, type OnPolicyMetrics, trainGrpo, trainRloo } from '../../src/train/on_policy.ts';
import {
  GRPO_DEFAULTS,
  type GrpoConfig,
  RLOO_DEFAULTS,
  type RlooConfig,
} from '../../src/train/on_policy_config.ts';
import type { RewardFunctions } from '../../src/train/rollouts.ts';
import { engines } from '../model/engines.ts';
import { largestDifference } from '../model/golden.ts';
import { tinyFolder, tinyWeights } from '../model/tiny.ts';
import {
  mergedWeights,
  type PlainRow,
  plainEntropies,
  plainGrpoLoss,
  plainRlooLoss,
  plainTokenLogps,
} from './on_policy_reference.ts';

const PROMPTS = [
  [1, 3],
  [1, 5, 7],
  [1, 9],
  [1, 4, 4, 6],
];
/** How much of a completion are the words from 10 on, less a cost of its length. */
const rewards: RewardFunctions = {
  names: ['reward', 'safety_1'],
  weights: [1, 0.3],
  score: async (rows) =>
    rows.map(({ completionIds }) => [
      completionIds.filter((id) => id >= 10).length / completionIds.length,
      -completionIds.length / 4,
    ]),
};

const SHARED = {
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

type Trainer = 'grpo' | 'rloo';
type Options = Partial<GrpoConfig & RlooConfig>;

/** A policy with an adapter that changes it already. */
async function tinyPolicy(engine: Engine): Promise<Policy> {
  const policy = await loadPolicy(engine, await tinyFolder());
  const adapter = addAdapter(
    policy,
    { r: 2, lora_alpha: 3, target_modules: ['q_proj', 'v_proj', 'down_proj'] },
    3,
  );
  const random = new Random(keyOf(8, 'adapter'));
  const values = [...adapter.entries()].map(
    ({ key, shape }) =>
      [key, Float32Array.from({ length: shape[0] * shape[1] }, () => random.uniform() - 0.5)] as const,
  );
  adapter.assign(new Map(values));
  return policy;
}

async function train(trainer: Trainer, engine: Engine, options: Options, resume?: Uint8Array) {
  const policy = await tinyPolicy(engine);
  const start = await policy.adapter!.read();
  const generated: Generated[] = [];
  const metrics: OnPolicyMetrics[] = [];
  const checkpoints: Uint8Array[] = [];
  const run = trainer === 'grpo' ? trainGrpo : trainRloo;
  await run(
    policy,
    PROMPTS,
    rewards,
    { ...SHARED, ...options },
    {
      resume,
      onGenerated: (all) => void generated.push(all),
      onMetrics: (row) => void metrics.push(row as OnPolicyMetrics),
      onCheckpoint: (bytes) => void checkpoints.push(bytes),
    },
  );
  return {
    policy,
    start,
    generated,
    metrics,
    checkpoints,
    gradients: await engine.read(policy.adapter!.gradients),
    parameters: await policy.adapter!.read(),
  };
}

/** The plain loss of a step's micro-batches at flat LoRA parameters. */
function plainLoss(
  trainer: Trainer,
  policy: Policy,
  generation: Generated,
  micro: readonly number[],
  options: Options,
  drawnAt: ArrayLike<number>,
) {
  const base = tinyWeights();
  const grpo: GrpoConfig = { ...GRPO_DEFAULTS, ...SHARED, ...options };
  const rloo: RlooConfig = { ...RLOO_DEFAULTS, ...SHARED, ...options };
  const drawn = mergedWeights(base, policy.adapter!, drawnAt);
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
    const logpsOf = (weights: Parameters<typeof plainTokenLogps>[0]) =>
      rows.map((row) => plainTokenLogps(weights, row, grpo.temperature));
    return { rows, old: logpsOf(drawn), ref: logpsOf(base) };
  });
  return (flat: ArrayLike<number>) => {
    const weights = mergedWeights(base, policy.adapter!, flat);
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

const CASES: [string, Trainer, Options][] = [
  ['dapo', 'grpo', { loss_type: 'dapo' }],
  [
    'grpo, scaled by group',
    'grpo',
    { loss_type: 'grpo', scale_rewards: 'group', use_bias_correction_kl: false },
  ],
  [
    'bnpo, in two micro-batches',
    'grpo',
    { loss_type: 'bnpo', per_device_train_batch_size: 4, gradient_accumulation_steps: 2 },
  ],
  ['dr_grpo without a reference', 'grpo', { loss_type: 'dr_grpo', scale_rewards: 'batch', beta: 0 }],
  ['dapo, truncated completions masked', 'grpo', { mask_truncated_completions: true }],
  ['rloo', 'rloo', {}],
  ['rloo, normalised and clipped', 'rloo', { normalize_advantages: true, reward_clip_range: [-0.2, 0.1] }],
  ['rloo, truncated completions masked', 'rloo', { mask_truncated_completions: true }],
];

describe.each(engines)('policy gradients, $name engine', ({ name: engineName, open }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await open();
  });
  afterAll(() => engine?.destroy());

  it.each(CASES)(
    '%s: the first step has the loss and gradient of the formulas',
    async (_, trainer, options) => {
      const { policy, start, generated, metrics, gradients } = await train(trainer, engine, {
        ...options,
        max_steps: 1,
      });
      expect(generated).toHaveLength(1);
      const cut = generated[0].rows.filter(({ rollout }) => !rollout.finished).length;
      expect(cut > 0 && cut < 8).toBe(true);
      const micro = generated[0].slices.map((_, i) => i);
      const loss = plainLoss(trainer, policy, generated[0], micro, options, start);
      const at = loss(start);
      expect(metrics[0].loss).toBeCloseTo(at.loss, 5);
      if (trainer === 'grpo' && options.beta !== 0) expect(metrics[0].kl).toBeCloseTo(at.kl, 5);
      const weights = mergedWeights(tinyWeights(), policy.adapter!, start);
      const entropies = generated[0].slices.map((slice) => {
        const counted = slice.filter(({ rollout }) => rollout.counts);
        return mean(counted.flatMap(({ rollout }) => plainEntropies(weights, rollout, SHARED.temperature)));
      });
      expect(metrics[0].entropy).toBeCloseTo(mean(entropies), 5);
      checkGradient((flat) => loss(flat).loss, start, gradients, metrics[0].grad_norm);
    },
  );

  // What comes is the same on every engine, and slow on a software driver.
  if (engineName !== 'CPU') return;

  it.each<[string, Trainer]>([
    ['grpo', 'grpo'],
    ['rloo', 'rloo'],
  ])('%s: a later pass over the same completions has the clipped ratio’s gradient', async (_, trainer) => {
    const options = { num_iterations: 2, learning_rate: 0.1, epsilon: 0.1, epsilon_high: 0.2 };
    const first = await train(trainer, engine, { ...options, max_steps: 1 });
    const both = await train(trainer, engine, { ...options, max_steps: 2 });
    expect(both.generated).toHaveLength(1);
    const [, metrics] = both.metrics;
    const at = plainLoss(trainer, both.policy, both.generated[0], [0], options, both.start);
    expect(metrics.loss).toBeCloseTo(at(first.parameters).loss, 4);
    expect(metrics['clip_ratio/region_mean']).toBeGreaterThan(0.05);
    expect(both.metrics[0]['clip_ratio/region_mean']).toBe(0);
    expect(metrics['clip_ratio/region_mean']).toBeCloseTo(
      metrics['clip_ratio/low_mean'] + metrics['clip_ratio/high_mean'],
      12,
    );
    checkGradient((flat) => at(flat).loss, first.parameters, both.gradients, metrics.grad_norm);
  });

  it.each<Trainer>(['grpo', 'rloo'])('%s goes on from a checkpoint to the same bits', async (trainer) => {
    // Drawn every 4 micro-batches of 2 passes, 2 of them a step: checkpoints fall on steps 4 and 8.
    const options = {
      num_iterations: 2,
      steps_per_generation: 4,
      per_device_train_batch_size: 2,
      gradient_accumulation_steps: 2,
      max_steps: 10,
      save_steps: 3,
    };
    const whole = await train(trainer, engine, options);
    expect(whole.metrics.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(whole.generated.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(whole.checkpoints).toHaveLength(2);
    const resumed = await train(trainer, engine, options, whole.checkpoints[0]);
    expect(resumed.metrics).toEqual(whole.metrics.slice(4));
    expect(resumed.parameters).toEqual(whole.parameters);
    expect(await train(trainer, engine, options)).toMatchObject({ metrics: whole.metrics });
  });

  it.each<[string, Trainer, Options]>([
    ['grpo', 'grpo', { num_iterations: 2 }],
    ['rloo', 'rloo', {}],
  ])('%s raises the reward, and leaves the reference as it may', async (_, trainer, options) => {
    const { metrics } = await train(trainer, engine, {
      ...options,
      beta: 0.02,
      num_generations: 8,
      per_device_train_batch_size: 32,
      max_steps: 30,
    });
    const meanOf = (rows: OnPolicyMetrics[], key: string) =>
      rows.reduce((sum, row) => sum + row[key], 0) / rows.length;
    const [first, last] = [metrics.slice(0, 5), metrics.slice(-5)];
    expect(meanOf(last, 'reward')).toBeGreaterThan(meanOf(first, 'reward') + 0.15);
    expect(meanOf(last, 'kl')).toBeGreaterThan(meanOf(first, 'kl'));
    for (const row of metrics) {
      expect(row.reward).toBeCloseTo(row['rewards/reward/mean'] + 0.3 * row['rewards/safety_1/mean'], 12);
    }
  });

  it('knows the log-probs of what it drew, whatever the sampling', async () => {
    for (const sampling of [
      { temperature: 1, top_k: 5 },
      { temperature: 0.7 },
      { temperature: 0.7, top_p: 0.8 },
    ]) {
      const { policy, start, generated } = await train('rloo', engine, { ...sampling, max_steps: 1 });
      const weights = mergedWeights(tinyWeights(), policy.adapter!, start);
      for (const { rollout } of generated[0].rows) {
        const plain = plainTokenLogps(weights, rollout, sampling.temperature);
        expect(largestDifference(rollout.oldLogps, plain)).toBeLessThan(1e-5);
      }
    }
  });

  it.each<[string, Trainer, Options, RegExp]>([
    [
      'a loss there is not',
      'grpo',
      { loss_type: 'cispo' as 'dapo' },
      /loss_type as one of dapo, grpo, bnpo, dr_grpo, got cispo/,
    ],
    [
      'one completion a prompt',
      'rloo',
      { num_generations: 1 },
      /num_generations as an integer of at least 2/,
    ],
    [
      'part of a prompt’s completions',
      'grpo',
      { num_generations: 3 },
      /as a multiple of num_generations 3, got 8 · 1/,
    ],
    ['too few prompts', 'grpo', { per_device_train_batch_size: 20 }, /at least 5 prompts, .*got 4/],
    ['no room to clip', 'grpo', { epsilon: 0 }, /epsilon between 0 and 1, got 0/],
    [
      'an empty range',
      'rloo',
      { reward_clip_range: [1, 1] },
      /reward_clip_range from a lower to a higher value/,
    ],
    ['the most likely tokens alone', 'rloo', { temperature: 0 }, /a temperature above 0, got 0/],
  ])('refuses %s', async (_, trainer, options, message) => {
    await expect(train(trainer, engine, options)).rejects.toThrow(message);
  });
});

/** Along the gradient itself, along random directions and along single parameters. */
function checkGradient(
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

/** GRPO and RLOO on a model of a few hundred weights, against plain formulas. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { addAdapter, loadPolicy, type Policy } from '../../src/model/policy.ts';
import { keyOf, Random } from '../../src/random.ts';
import { mean } from '../../src/train/advantages.ts';
import type { OnPolicyMetrics } from '../../src/train/on_policy.ts';
import { engines } from '../model/engines.ts';
import { largestDifference } from '../model/golden.ts';
import { tinyFolder, tinyWeights } from '../model/tiny.ts';
import {
  checkGradient,
  mergedWeights,
  type Options,
  plainEntropies,
  plainLoss,
  plainTokenLogps,
  SHARED,
  type Trainer,
} from './on_policy_reference.ts';
import { trainTold } from './on_policy_run.ts';

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

/** The model's weights by flat LoRA parameters. */
function adapted({ adapter }: Policy) {
  return (flat?: ArrayLike<number>) => (flat ? mergedWeights(tinyWeights(), adapter!, flat) : tinyWeights());
}

async function train(trainer: Trainer, engine: Engine, options: Options, resume?: Uint8Array) {
  const policy = await tinyPolicy(engine);
  const start = await policy.adapter!.read();
  const told = await trainTold(trainer, policy, options, resume);
  return {
    policy,
    start,
    ...told,
    gradients: await engine.read(policy.adapter!.gradients),
    parameters: await policy.adapter!.read(),
  };
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
      const loss = plainLoss(trainer, adapted(policy), generated[0], micro, options, start);
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
    const at = plainLoss(trainer, adapted(both.policy), both.generated[0], [0], options, both.start);
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
    const { metrics, generated } = await train(trainer, engine, {
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
    const drawn = generated.flatMap(({ rows }) => rows.map(({ rollout }) => rollout));
    const tokens = drawn.reduce((sum, row) => sum + row.promptIds.length + row.completionIds.length, 0);
    expect(metrics.at(-1)!.num_tokens).toBe(tokens);
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

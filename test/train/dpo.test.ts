import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { UserError } from '../../src/errors.ts';
import { addAdapter, type Policy } from '../../src/model/policy.ts';
import {
  dpoGradients,
  type PreferencePair,
  type ReferenceLogps,
  referenceLogps,
} from '../../src/train/dpo.ts';
import type { Window } from '../../src/train/recorder.ts';
import { type DpoConfig, type TrainMetrics, trainDpo } from '../../src/train/trainer.ts';
import { engines } from '../model/engines.ts';
import {
  type DpoGolden,
  goldenAdapter,
  goldenJson,
  goldenTensors,
  hasFixtures,
  largestDifference,
  loadStories,
} from '../model/golden.ts';

const golden = hasFixtures ? goldenJson<DpoGolden>('dpo.json') : undefined;
const pairs: PreferencePair[] = (golden?.pairs ?? []).map((pair) => ({
  promptIds: pair.prompt_ids,
  chosenIds: pair.chosen_ids,
  rejectedIds: pair.rejected_ids,
}));

describe.skipIf(!hasFixtures).each(engines)('DPO on stories260K, $name engine', ({ open }) => {
  let engine: Engine;
  let policy: Policy;
  let reference: ReferenceLogps;
  beforeAll(async () => {
    engine = await open();
    policy = await loadStories(engine);
    reference = await referenceLogps(policy, pairs);
  });
  afterAll(() => engine?.destroy());

  /** Loss and flat gradients of all pairs, `size` at a time. */
  async function gradients(size: number): Promise<{ loss: number; flat: Float32Array }> {
    const adapter = policy.adapter!;
    engine.zero(adapter.gradients);
    let loss = 0;
    for (let start = 0; start < pairs.length; start += size) {
      const micro = pairs.slice(start, start + size);
      const part = {
        chosen: reference.chosen.slice(start, start + size),
        rejected: reference.rejected.slice(start, start + size),
      };
      const results = engine.tensor([192]);
      const out: Window = (offset, shape) => engine.view(results, offset, shape);
      const config = { beta: golden!.beta, loss_type: 'sigmoid', label_smoothing: 0 } as const;
      dpoGradients(policy, micro, part, config, 1 / pairs.length, out, { adapter });
      const losses = (await engine.read(results)).slice(0, micro.length);
      for (const value of losses) loss += value / pairs.length;
    }
    return { loss, flat: await engine.read(adapter.gradients) };
  }

  it('gives the loss and every LoRA gradient of PyTorch', async () => {
    policy.adapter = goldenAdapter(policy);
    const { loss, flat } = await gradients(4);
    expect(Math.abs(loss - golden!.loss)).toBeLessThan(1e-5);
    const expected = goldenTensors('lora_grads.safetensors');
    let norm = 0;
    for (const { key, shape, offset } of policy.adapter.entries()) {
      const values = flat.subarray(offset, offset + shape[0] * shape[1]);
      const wanted = expected.get(key)!;
      const largest = wanted.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      expect(largestDifference(values, wanted), key).toBeLessThan(1e-4 * largest + 1e-6);
      for (const value of values) norm += value * value;
    }
    expect(Math.sqrt(norm)).toBeCloseTo(golden!.grad_norm, 4);
  });

  it('adds gradients up over micro-batches', async () => {
    policy.adapter = goldenAdapter(policy);
    const whole = await gradients(4);
    const parts = await gradients(1);
    expect(parts.loss).toBeCloseTo(whole.loss, 5);
    expect(largestDifference(parts.flat, whole.flat)).toBeLessThan(1e-4);
  });

  it('follows the loss of PyTorch through 20 AdamW steps', async () => {
    policy.adapter = goldenAdapter(policy);
    const { adamw, beta } = golden!;
    const metrics: TrainMetrics[] = [];
    const config: Partial<DpoConfig> = {
      beta,
      learning_rate: adamw.lr,
      lr_scheduler_type: 'constant',
      weight_decay: adamw.weight_decay,
      adam_beta1: adamw.betas[0],
      adam_beta2: adamw.betas[1],
      adam_epsilon: adamw.eps,
      max_grad_norm: 0,
      max_steps: 20,
      per_device_train_batch_size: 4,
    };
    await trainDpo(policy, pairs, config, { onMetrics: (row) => void metrics.push(row) });
    const losses = metrics.map(({ loss }) => loss);
    expect(largestDifference(losses, adamw.loss_before_each_step)).toBeLessThan(1e-3);
    const expected = goldenTensors('lora_after_20.safetensors');
    const flat = await engine.read(policy.adapter.parameters);
    for (const { key, shape, offset } of policy.adapter.entries()) {
      const values = flat.subarray(offset, offset + shape[0] * shape[1]);
      expect(largestDifference(values, expected.get(key)!), key).toBeLessThan(2e-4);
    }
    const first = metrics[0];
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const { policy_logps: at, ref_logps: ref } = golden!;
    expect(first['logps/chosen']).toBeCloseTo(mean(at.chosen), 3);
    expect(first['rewards/chosen']).toBeCloseTo(beta * (mean(at.chosen) - mean(ref.chosen)), 4);
    expect(first['rewards/margins']).toBeCloseTo(first['rewards/chosen'] - first['rewards/rejected'], 6);
    expect(first['rewards/accuracies']).toBe(0.5);
    expect(first.grad_norm).toBeCloseTo(golden!.grad_norm, 3);
    expect(metrics.at(-1)).toMatchObject({ step: 20, epoch: 20, learning_rate: adamw.lr });
  });

  it('goes on from a checkpoint to the same bits', async () => {
    const config = {
      per_device_train_batch_size: 2,
      num_train_epochs: 3,
      save_steps: 2,
      learning_rate: 1e-2,
    };
    const soft = pairs.slice(0, 3).map((pair, i) => ({ ...pair, label: 0.5 + i / 4 }));
    const run = async (resume?: Uint8Array) => {
      addAdapter(policy, { r: 2, lora_alpha: 4, target_modules: ['q_proj', 'down_proj'] }, 7);
      const checkpoints: Uint8Array[] = [];
      const metrics: TrainMetrics[] = [];
      await trainDpo(policy, soft, config, {
        resume,
        onMetrics: (row) => void metrics.push(row),
        onCheckpoint: (bytes) => void checkpoints.push(bytes),
      });
      return { checkpoints, metrics, parameters: await policy.adapter!.read() };
    };
    const whole = await run();
    expect(whole.metrics.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(whole.checkpoints).toHaveLength(2);
    const resumed = await run(whole.checkpoints[0]);
    expect(resumed.parameters).toEqual(whole.parameters);
    expect(resumed.metrics).toEqual(whole.metrics.slice(2));
    await expect(
      trainDpo(policy, soft, { ...config, learning_rate: 1 }, { resume: whole.checkpoints[0] }),
    ).rejects.toThrow(/^checkpoint: expected the settings/);
  });

  it('stops at an abort signal', async () => {
    policy.adapter = goldenAdapter(policy);
    const controller = new AbortController();
    const onMetrics = () => controller.abort();
    const training = trainDpo(
      policy,
      pairs,
      { max_steps: 100 },
      { onMetrics, signal: controller.signal, reference },
    );
    await expect(training).rejects.toThrow(/abort/i);
  });

  it('says so when training diverges', async () => {
    policy.adapter = goldenAdapter(policy);
    policy.adapter.assign(
      new Map(
        [...goldenTensors('lora_init.safetensors')].map(([key, value]) => [key, value.fill(Number.NaN)]),
      ),
    );
    const training = trainDpo(policy, pairs, { max_steps: 1 }, { reference });
    await expect(training).rejects.toThrow(UserError);
    await expect(training).rejects.toThrow(/step 1: expected a finite loss/);
  });

  it.each([
    ['no pairs', [], /at least one preference pair/],
    ['an empty response', [{ ...pairs[0], rejectedIds: [] }], /pair 0: .* got an empty one/],
    ['an impossible label', [{ ...pairs[0], label: 1.5 }], /label from 0 to 1, got 1.5/],
    ['a token outside the vocabulary', [{ ...pairs[0], chosenIds: [512] }], /below 512, got 512/],
  ])('refuses %s', async (_, bad, message) => {
    policy.adapter = goldenAdapter(policy);
    await expect(trainDpo(policy, bad, {}, {})).rejects.toThrow(message);
  });
});

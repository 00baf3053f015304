/** How training is made to fit: what changes no bit first, then smaller batches of the same steps. */
import { describe, expect, it } from 'vitest';
import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import { UserError } from '../../src/errors.ts';
import { DiskFolder } from '../../src/host/disk.ts';
import { HEAD_LIMITS } from '../../src/model/head.ts';
import { addAdapter, type Policy } from '../../src/model/policy.ts';
import { loadRewardModel } from '../../src/model/reward_model.ts';
import { TRAIN_DEFAULTS } from '../../src/train/config.ts';
import { referenceLogps } from '../../src/train/dpo.ts';
import { DPO, fitTraining, REWARD, SFT, spaceOf } from '../../src/train/fit.ts';
import { fitRollouts } from '../../src/train/fit_rollouts.ts';
import { trainGrpo } from '../../src/train/on_policy.ts';
import { trainReward } from '../../src/train/reward.ts';
import type { RewardFunctions } from '../../src/train/rollouts.ts';
import { sizeSampling } from '../../src/train/sizing.ts';
import { weightsTrainable } from '../../src/train/trainable.ts';
import { DPO_DEFAULTS, trainDpo, trainSft } from '../../src/train/trainer.ts';
import { hasFixtures, loadStories } from '../model/golden.ts';
import { SHARED } from '../support/shared.ts';

const STORIES = `${SHARED}/models/stories260K`;

const LORA = { r: 4, lora_alpha: 8, target_modules: ['all-linear'] };
const ids = (length: number, first: number) =>
  Array.from({ length }, (_, i) => 3 + ((first * 7 + i * 13) % 500));
/** Four prompts of four pairs each, which share their responses. */
const pairs = Array.from({ length: 16 }, (_, i) => {
  const prompt = Math.floor(i / 4);
  return {
    promptIds: ids(20 + prompt, prompt),
    chosenIds: ids(40, 100 * prompt + (i % 4)),
    rejectedIds: ids(36, 100 * prompt + ((i + 1) % 4) + 50),
  };
});
const config = { ...DPO_DEFAULTS, num_train_epochs: 2, per_device_train_batch_size: 12 };

const within = (policy: Policy, total: number): Policy => ({
  ...policy,
  engine: { ...policy.engine, limits: { ...policy.engine.limits, total } },
});

describe.skipIf(!hasFixtures)('training on a device that has only so much memory', () => {
  it('first computes blocks again, then takes smaller batches of the same steps, then refuses', async () => {
    const policy = await loadStories(await createCpuEngine());
    const whole = await fitTraining(DPO, spaceOf(policy, LORA), pairs, config);
    expect(whole).toMatchObject({
      per_device_train_batch_size: 12,
      gradient_accumulation_steps: 1,
      gradient_checkpointing: false,
      headLimits: undefined,
    });

    const again = await fitTraining(DPO, spaceOf(within(policy, 0.9 * whole.bytes), LORA), pairs, config);
    expect(again).toMatchObject({ per_device_train_batch_size: 12, gradient_checkpointing: true });
    expect(again.bytes).toBeLessThanOrEqual(0.9 * whole.bytes);

    for (const part of [0.9, 0.7, 0.5]) {
      const small = await fitTraining(DPO, spaceOf(within(policy, part * again.bytes), LORA), pairs, config);
      expect(small.per_device_train_batch_size).toBeLessThan(12);
      expect(small.per_device_train_batch_size * small.gradient_accumulation_steps).toBe(12);
      expect(small.bytes).toBeLessThanOrEqual(part * again.bytes);
    }

    const least = fitTraining(DPO, spaceOf(within(policy, 2 ** 20), LORA), pairs, config);
    await expect(least).rejects.toThrow(UserError);
    await expect(least).rejects.toThrow(
      /^memory: training on 1 pair at a time takes \d+ MiB, more than 1 MiB; use --dtype bfloat16 or nf4, or /,
    );
    const all = fitTraining(DPO, spaceOf(within(policy, 2 ** 20)), pairs, config);
    await expect(all).rejects.toThrow(/more than 1 MiB; train LoRA, without --full, or /);
    await expect(
      fitTraining(DPO, spaceOf(within(policy, 0.5 * again.bytes), LORA), pairs, config, true),
    ).rejects.toThrow(
      /^memory: training on 12 pairs at a time takes \d+ MiB, more than \d+ MiB, and it began with batches of this size; go on/,
    );
    policy.engine.destroy();
  });

  it('counts what the engine comes to hold', async () => {
    for (const gradient_checkpointing of [false, true]) {
      const policy = await loadStories(await createCpuEngine());
      const { bytes } = await fitTraining(DPO, spaceOf(policy, LORA), pairs, {
        ...config,
        gradient_checkpointing,
      });
      addAdapter(policy, LORA, 1);
      const zeros = { chosen: new Float32Array(16), rejected: new Float32Array(16) };
      await trainDpo(policy, pairs, { ...config, gradient_checkpointing }, { reference: zeros });
      expect(Math.abs(policy.engine.memory().peak / bytes - 1)).toBeLessThan(0.15);
      policy.engine.destroy();
    }
  });

  it('counts what fine-tuning and reward models come to hold, by LoRA and by all weights', async () => {
    const steps = { ...TRAIN_DEFAULTS, num_train_epochs: 1, per_device_train_batch_size: 8 };
    const examples = pairs.map(({ promptIds, chosenIds }) => ({ promptIds, completionIds: chosenIds }));
    const texts = pairs.map(({ promptIds, chosenIds, rejectedIds }) => ({
      chosenIds: [...promptIds, ...chosenIds],
      rejectedIds: [...promptIds, ...rejectedIds],
    }));
    for (const lora of [LORA, undefined]) {
      const policy = await loadStories(await createCpuEngine());
      const { bytes } = await fitTraining(SFT, spaceOf(policy, lora), examples, steps);
      if (lora) addAdapter(policy, lora, 1);
      await trainSft(policy, examples, steps, {}, lora ? undefined : weightsTrainable(policy));
      expect(Math.abs(policy.engine.memory().peak / bytes - 1)).toBeLessThan(0.15);
      policy.engine.destroy();

      const model = await loadRewardModel(await createCpuEngine(), new DiskFolder(STORIES));
      const fitted = await fitTraining(REWARD, spaceOf(model, lora), texts, steps);
      if (lora) addAdapter(model, lora, 1);
      await trainReward(model, texts, { ...steps, center_rewards_coefficient: 0.1 });
      expect(Math.abs(model.engine.memory().peak / fitted.bytes - 1)).toBeLessThan(0.15);
      model.engine.destroy();
    }
  });

  it('counts what policy gradients come to hold, by LoRA and by all weights, with a reference and without', async () => {
    const prompts = Array.from({ length: 4 }, (_, i) => ids(20, i));
    const sizes = { promptTokens: 20, newTokens: 24, responses: 8 };
    const batches = { per_device_train_batch_size: 32, gradient_accumulation_steps: 1 };
    const asked = { ...batches, gradient_checkpointing: false };
    const bytesOf = async (lora: typeof LORA | undefined, beta: number) => {
      const policy = await loadStories(await createCpuEngine());
      const space = spaceOf(policy, lora);
      const { bytes } = await fitRollouts(space, { ...sizes, beta }, asked);
      const sampling = await sizeSampling(space.model, sizes, 32, { reference: beta > 0 });
      if (lora) addAdapter(policy, lora, 1);
      const drawing = { ...batches, max_steps: 2, max_completion_length: 24, beta };
      let drawn = 0;
      const score: RewardFunctions['score'] = async (rows) => {
        drawn ||= policy.engine.memory().peak;
        return rows.map((_, i) => [i % 3]);
      };
      await trainGrpo(
        { ...policy, eosIds: [] },
        prompts,
        { names: ['reward'], weights: [1], score },
        drawing,
        {},
        lora ? undefined : weightsTrainable(policy),
      );
      expect(Math.abs(policy.engine.memory().peak / bytes - 1)).toBeLessThan(0.15);
      expect(Math.abs(drawn / sampling.peak - 1)).toBeLessThan(0.15);
      policy.engine.destroy();
      return bytes;
    };
    await bytesOf(LORA, 0.1);
    const [kept, without] = [await bytesOf(undefined, 0.1), await bytesOf(undefined, 0)];
    // The weights are a million bytes and more.
    expect(kept - without).toBeGreaterThan(1e6);
  });

  it('takes the log-probabilities of as many tokens at once as there is room for', async () => {
    const policy = await loadStories(await createCpuEngine());
    const whole = await referenceLogps(policy, pairs);
    policy.engine.destroy();
    const other = await loadStories(await createCpuEngine());
    const { live } = other.engine.memory();
    const total = live + 2 ** 20;
    expect(await referenceLogps(within(other, total), pairs)).toEqual(whole);
    expect(other.engine.memory().peak).toBeLessThan(1.15 * total);
    expect(policy.engine.memory().peak).toBeGreaterThan(2 * total);
    other.engine.destroy();
  });

  it('ends with the same bits, and goes on from a checkpoint, whatever was chosen that no bit depends on', async () => {
    const policy = await loadStories(await createCpuEngine());
    const reference = await referenceLogps(policy, pairs);
    const settings = { ...config, per_device_train_batch_size: 4, save_steps: 3 };
    let checkpoint: Uint8Array | undefined;
    const train = async (gradient_checkpointing: boolean, rows?: number, resume?: Uint8Array) => {
      addAdapter(policy, LORA, 1);
      const headLimits = rows ? { ...HEAD_LIMITS, rows } : undefined;
      await trainDpo(
        { ...policy, headLimits },
        pairs,
        { ...settings, gradient_checkpointing },
        {
          reference,
          resume,
          onCheckpoint: (bytes) => {
            checkpoint = bytes;
          },
        },
      );
      return await policy.adapter!.read();
    };
    const whole = await train(false);
    const bytes = checkpoint!;
    expect(await train(true, 64)).toEqual(whole);
    expect(await train(true, 64, bytes)).toEqual(whole);
    policy.engine.destroy();
  });
});

/**
 * A thousand steps of training and of sampling, and every other way to train: neither engine, nor the device itself, holds
 * more at the end than early on. What is loaded and freed leaves nothing.
 */
import { describe, expect, it } from 'vitest';
import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { generate } from '../../src/model/generate.ts';
import { addAdapter, freePolicy, loadPolicy, type Policy } from '../../src/model/policy.ts';
import { loadRewardModel, type RewardModel } from '../../src/model/reward_model.ts';
import { referenceLogps } from '../../src/train/dpo.ts';
import { trainGrpo, trainRloo } from '../../src/train/on_policy.ts';
import { trainReward } from '../../src/train/reward.ts';
import { type Trainable, weightsTrainable } from '../../src/train/trainable.ts';
import { trainDpo, trainSft } from '../../src/train/trainer.ts';
import { noGpu } from '../engine/support.ts';
import { tinyFolder } from '../model/tiny.ts';

const STEPS = 1000;
/** By then every shape has come by, and every buffer has been made. */
const SETTLED = 400;

interface Opened {
  readonly engine: Engine;
  /** Bytes that the device itself has given and not got back. */
  deviceBytes(): number;
}

async function openCpu(): Promise<Opened> {
  const engine = await createCpuEngine();
  return { engine, deviceBytes: () => engine.memory().held };
}

/** Counts every buffer that the device makes, whoever asks for it. */
async function openWebGpu(): Promise<Opened> {
  const { device, info } = await requestDevice();
  let bytes = 0;
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    const destroy = buffer.destroy.bind(buffer);
    bytes += buffer.size;
    buffer.destroy = () => {
      bytes -= buffer.size;
      destroy();
    };
    return buffer;
  };
  return { engine: createWebGpuEngine(device, info), deviceBytes: () => bytes };
}

/** Without an end of its own, so that every step is made. */
function oneLayer() {
  return tinyFolder({ num_hidden_layers: 1, eos_token_id: null }, (tensors) => {
    for (const key of tensors.keys()) if (key.startsWith('model.layers.1.')) tensors.delete(key);
  });
}

/** Steps of each other way to train, by when every shape has come by, and in all. */
const [OTHERS_SETTLED, OTHERS] = [40, 120];

type Train = (
  model: Policy,
  hooks: { readonly onCheckpoint: (bytes: Uint8Array, step: number) => void },
  trainable?: Trainable,
) => Promise<void>;

const texts = Array.from({ length: 4 }, (_, i) => Array.from({ length: 1 + i }, (_, t) => 4 + ((i + t) % 9)));
const completions = texts.map((completionIds, i) => ({ promptIds: [1, 3 + i], completionIds }));
/** Of one length: what a step holds of its completions depends on the longest. */
const prompts = texts.map((_, i) => [1, 3 + i]);
const rewards = {
  names: ['sum'],
  weights: [1],
  score: async (rows: readonly { readonly completionIds: readonly number[] }[]) =>
    rows.map(({ completionIds }) => [completionIds.reduce((sum, id) => sum + id, 0) / 100]),
};
const steps = { max_steps: OTHERS, save_steps: 20, learning_rate: 1e-3 };
const epochs = { ...steps, per_device_train_batch_size: 2, eval_steps: 20 };
const drawing = { ...steps, per_device_train_batch_size: 4, num_generations: 4, max_completion_length: 4 };

const others: readonly [string, Train][] = [
  [
    'SFT',
    (model, ...rest) => trainSft(model, { train: completions, evaluation: completions }, epochs, ...rest),
  ],
  [
    'reward models',
    (model, ...rest) => {
      const pairs = texts.map((chosenIds, i) => ({ chosenIds, rejectedIds: texts[(i + 1) % texts.length] }));
      return trainReward(model as RewardModel, { train: pairs, evaluation: pairs }, epochs, ...rest);
    },
  ],
  [
    'GRPO',
    (model, ...rest) =>
      trainGrpo(model, prompts, rewards, { ...drawing, beta: 0.1, num_iterations: 2 }, ...rest),
  ],
  ['RLOO', (model, ...rest) => trainRloo(model, prompts, rewards, drawing, ...rest)],
];

/** What the engine keeps for all operations to come is no model's. */
async function warmUp(engine: Engine): Promise<void> {
  const policy = await loadPolicy(engine, await oneLayer());
  await generate(policy, [{ ids: [1, 3], stream: [0, 0] }], { maxNewTokens: 20, key: [1, 2] });
  freePolicy(policy);
}

const cases: [string, () => Promise<Opened>][] = [['CPU', openCpu]];
if (!noGpu) cases.push(['WebGPU', openWebGpu]);

describe.each(cases)('on the %s engine', (_, open) => {
  it(`nothing is left over by ${STEPS} steps of DPO`, async () => {
    const { engine, deviceBytes } = await open();
    const policy = await loadPolicy(engine, await oneLayer());
    addAdapter(policy, { r: 2, lora_alpha: 4, target_modules: ['q_proj'] }, 3);
    const pairs = Array.from({ length: 5 }, (_, i) => ({
      promptIds: [1, 3 + i],
      chosenIds: Array.from({ length: 1 + i }, (_, t) => 4 + t),
      rejectedIds: Array.from({ length: 1 + ((i * 3) % 4) }, (_, t) => 9 + t),
    }));
    const reference = await referenceLogps(policy, pairs);
    policy.workspace.free();
    const before = engine.memory().live;
    let early = 0;
    let late = 0;
    const config = { max_steps: STEPS, per_device_train_batch_size: 2, save_steps: 100, learning_rate: 1e-3 };
    await trainDpo(policy, pairs, config, {
      reference,
      onCheckpoint: (_, step) => {
        if (step === SETTLED) early = deviceBytes();
        late = deviceBytes();
      },
    });
    expect(early).toBeGreaterThan(0);
    expect(late).toBe(early);
    expect(engine.memory().held).toBe(deviceBytes());
    policy.workspace.free();
    expect(engine.memory().live).toBeLessThanOrEqual(before);
    engine.destroy();
  });

  it(`nothing is left over by ${STEPS} steps of sampling`, async () => {
    const { engine, deviceBytes } = await open();
    const policy = await loadPolicy(engine, await oneLayer());
    addAdapter(policy, { r: 2, lora_alpha: 4, target_modules: ['q_proj'] }, 3);
    let before = 0;
    let early = 0;
    for (let step = 0, call = 0; step < STEPS; step += 25, call++) {
      const rows = Array.from({ length: 1 + (call % 3) }, (_, row) => ({
        ids: Array.from({ length: 1 + ((call + row) % 4) }, (_, t) => 3 + t),
        stream: [call, row] as const,
      }));
      const options = { maxNewTokens: 25, key: [1, 2] as const, repetitionPenalty: 1 + (call % 2) / 5 };
      await generate(policy, rows, options);
      if (call === 0) {
        policy.workspace.free();
        before = engine.memory().live;
      }
      if (step === SETTLED) early = deviceBytes();
    }
    expect(early).toBeGreaterThan(0);
    expect(deviceBytes()).toBe(early);
    expect(engine.memory().held).toBe(deviceBytes());
    policy.workspace.free();
    expect(engine.memory().live).toBeLessThanOrEqual(before);
    engine.destroy();
  });

  it.each(
    others.flatMap(([method, train]) => [
      [method, 'LoRA', train] as const,
      [method, 'all weights', train] as const,
    ]),
  )(`nothing is left over by ${OTHERS} steps of %s, %s`, async (method, parts, train) => {
    const { engine, deviceBytes } = await open();
    await warmUp(engine);
    const empty = engine.memory().live;
    const load = method === 'reward models' ? loadRewardModel : loadPolicy;
    const model = await load(engine, await oneLayer());
    if (parts === 'LoRA') addAdapter(model, { r: 2, lora_alpha: 4, target_modules: ['q_proj'] }, 3);
    // A reward model finds out by itself what to train.
    const trainable = parts === 'LoRA' || method === 'reward models' ? undefined : weightsTrainable(model);
    const live: number[] = [];
    const held: number[] = [];
    const onCheckpoint = (_: Uint8Array, step: number) => {
      if (step < OTHERS_SETTLED) return;
      live.push(engine.memory().live);
      held.push(deviceBytes());
    };
    await train(model, { onCheckpoint }, trainable);
    expect(live.length).toBeGreaterThan(2);
    expect(new Set(live).size).toBe(1);
    expect(new Set(held).size).toBe(1);
    trainable?.free();
    freePolicy(model);
    expect(engine.memory().live).toBeLessThanOrEqual(empty);
    engine.destroy();
  });

  it('nothing is left over by loading and freeing a policy 50 times, nor by loads that fail', async () => {
    const { engine, deviceBytes } = await open();
    await warmUp(engine);
    const { live } = engine.memory();
    const folder = await oneLayer();
    let early = 0;
    for (let time = 0; time < 50; time++) {
      const policy = await loadPolicy(engine, folder);
      for (const r of [1, 3]) addAdapter(policy, { r, lora_alpha: 4, target_modules: 'all-linear' }, time);
      await generate(policy, [{ ids: [1, 3], stream: [0, time] }], { maxNewTokens: 2, key: [1, 2] });
      freePolicy(policy);
      if (time === 2) early = deviceBytes();
    }
    expect(engine.memory().live).toBeLessThanOrEqual(live);
    expect(deviceBytes()).toBe(early);
    await expect(loadPolicy(engine, folder, { adapter: folder })).rejects.toThrow('adapter_config.json');
    const read = folder.readRange.bind(folder);
    let reads = 0;
    folder.readRange = (...range) => {
      if (++reads > 8) throw new Error('the disk is gone');
      return read(...range);
    };
    await expect(loadPolicy(engine, folder)).rejects.toThrow('the disk is gone');
    expect(engine.memory().live).toBeLessThanOrEqual(live);
    engine.destroy();
  });
});

/** sha-256 of what every way of training makes of a model of a few hundred weights, with its metrics. */
import { sha256 } from '../../src/data/hash.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { namedWeights } from '../../src/model/parameters.ts';
import { addAdapter, loadPolicy, type Policy } from '../../src/model/policy.ts';
import { loadRewardModel } from '../../src/model/reward_model.ts';
import { trainGrpo, trainRloo } from '../../src/train/on_policy.ts';
import { trainReward } from '../../src/train/reward.ts';
import type { RewardFunctions } from '../../src/train/rollouts.ts';
import { weightsTrainable } from '../../src/train/trainable.ts';
import { trainDpo, trainSft } from '../../src/train/trainer.ts';
import { tinyFolder } from '../model/tiny.ts';

const LORA = { r: 2, lora_alpha: 3, target_modules: ['all-linear'], lora_dropout: 0.1 };
const STEPS = {
  learning_rate: 0.02,
  per_device_train_batch_size: 2,
  gradient_accumulation_steps: 2,
  max_steps: 3,
  warmup_ratio: 0,
};

const examples = Array.from({ length: 6 }, (_, i) => ({
  promptIds: [1, 3 + i],
  completionIds: Array.from({ length: 1 + (i % 3) }, (_, t) => 4 + ((i + 2 * t) % 9)),
}));
const pairs = examples.map(({ promptIds, completionIds }) => ({
  promptIds,
  chosenIds: completionIds,
  rejectedIds: [...completionIds, 5].reverse(),
}));
const scored = pairs.map(({ promptIds, chosenIds, rejectedIds }) => ({
  chosenIds: [...promptIds, ...chosenIds],
  rejectedIds: [...promptIds, ...rejectedIds],
}));
const rewards: RewardFunctions = {
  names: ['reward'],
  weights: [1],
  score: async (rows) => rows.map(({ completionIds }) => [completionIds.filter((id) => id >= 10).length]),
};
const drawing = {
  num_generations: 4,
  per_device_train_batch_size: 8,
  max_completion_length: 4,
  max_steps: 2,
};

type Hooks = { onMetrics: (row: object) => void };

const TRAININGS: Readonly<Record<string, (engine: Engine, hooks: Hooks) => Promise<Policy>>> = {
  async 'sft, LoRA'(engine, hooks) {
    const policy = await adapted(engine);
    await trainSft(policy, examples, STEPS, hooks);
    return policy;
  },
  async 'sft, all weights'(engine, hooks) {
    const policy = await loadPolicy(engine, await tinyFolder(), { initialSeed: 4 });
    await trainSft(policy, examples, STEPS, hooks, weightsTrainable(policy));
    return policy;
  },
  async 'dpo, LoRA'(engine, hooks) {
    const policy = await adapted(engine);
    await trainDpo(policy, pairs, STEPS, hooks);
    return policy;
  },
  async 'dpo, all weights'(engine, hooks) {
    const policy = await loadPolicy(engine, await tinyFolder());
    await trainDpo(policy, pairs, STEPS, hooks, weightsTrainable(policy));
    return policy;
  },
  async reward(engine, hooks) {
    const model = await loadRewardModel(engine, await tinyFolder());
    await trainReward(model, scored, { ...STEPS, center_rewards_coefficient: 0.01 }, hooks);
    return model;
  },
  async grpo(engine, hooks) {
    const policy = await adapted(engine);
    const prompts = examples.slice(0, 4).map(({ promptIds }) => promptIds);
    await trainGrpo(policy, prompts, rewards, drawing, hooks);
    return policy;
  },
  async rloo(engine, hooks) {
    const policy = await adapted(engine);
    const prompts = examples.slice(0, 4).map(({ promptIds }) => promptIds);
    await trainRloo(policy, prompts, rewards, drawing, hooks);
    return policy;
  },
};

async function adapted(engine: Engine): Promise<Policy> {
  const policy = await loadPolicy(engine, await tinyFolder());
  addAdapter(policy, LORA, 5);
  return policy;
}

export async function trainingDigests(engine: Engine): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const [name, train] of Object.entries(TRAININGS)) {
    const metrics: object[] = [];
    const { adapter, config, weights } = await train(engine, { onMetrics: (row) => void metrics.push(row) });
    const tensors = adapter
      ? [adapter.parameters]
      : [...namedWeights(config, weights)].map(({ tensor }) => tensor);
    const values: Float32Array[] = [];
    for (const tensor of tensors) values.push(await engine.read(tensor));
    const bytes = new Uint8Array(await new Blob(values as BlobPart[]).arrayBuffer());
    digests[name] = await sha256(`${JSON.stringify(metrics)} ${await sha256(bytes)}`);
  }
  return digests;
}

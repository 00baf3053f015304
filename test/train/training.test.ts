/** What every way of training shares, on a model of a few hundred weights. */
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import type { Completion } from '../../src/model/head.ts';
import { sequenceLogps } from '../../src/model/logps.ts';
import { namedWeights } from '../../src/model/parameters.ts';
import { addAdapter, loadPolicy, type Policy } from '../../src/model/policy.ts';
import type { TrainConfig } from '../../src/train/config.ts';
import type { EvalMetrics, StepMetrics } from '../../src/train/loop.ts';
import { stepIndices } from '../../src/train/order.ts';
import type { SftMetrics } from '../../src/train/sft.ts';
import { adapterTrainable, weightsTrainable } from '../../src/train/trainable.ts';
import { type TrainMetrics, trainDpo, trainSft } from '../../src/train/trainer.ts';
import { engines } from '../model/engines.ts';
import { largestDifference } from '../model/golden.ts';
import { type Config, plainLogits } from '../model/plain.ts';
import { tinyConfig, tinyFolder, tinyWeights } from '../model/tiny.ts';

const examples: Completion[] = Array.from({ length: 6 }, (_, i) => ({
  promptIds: [1, 3 + i],
  completionIds: Array.from({ length: 1 + (i % 3) }, (_, t) => 4 + ((i + 2 * t) % 9)),
}));
const lora = { r: 2, lora_alpha: 3, target_modules: ['all-linear'] };

async function weightsOf(policy: Policy): Promise<Map<string, Float32Array>> {
  const all = new Map<string, Float32Array>();
  for (const { key, tensor } of namedWeights(policy.config, policy.weights)) {
    all.set(key, await policy.engine.read(tensor));
  }
  return all;
}

interface Rows {
  losses: number[];
  tokens: number[];
  evaluations: number[];
  checkpoints: Uint8Array[];
}

async function fullTraining(engine: Engine, options: Partial<TrainConfig>, resume?: Uint8Array, held = 0) {
  const policy = await loadPolicy(engine, await tinyFolder());
  const rows: Rows = { losses: [], tokens: [], evaluations: [], checkpoints: [] };
  const split = { train: examples.slice(held), evaluation: examples.slice(0, held) };
  await trainSft(
    policy,
    split,
    options,
    {
      resume,
      onMetrics: ({ loss, num_tokens }) => {
        rows.losses.push(loss);
        rows.tokens.push(num_tokens);
      },
      onEvaluation: ({ eval_loss }) => void rows.evaluations.push(eval_loss),
      onCheckpoint: (bytes) => void rows.checkpoints.push(bytes),
    },
    weightsTrainable(policy),
  );
  return { ...rows, weights: await weightsOf(policy), policy };
}

describe.each(engines)('training, $name engine', ({ open }) => {
  it('of all weights learns, and goes on from a checkpoint to the same bits', async () => {
    const engine = await open();
    const options = {
      learning_rate: 0.02,
      num_train_epochs: 4,
      per_device_train_batch_size: 3,
      save_steps: 3,
      weight_decay: 0.1,
    };
    const whole = await fullTraining(engine, options);
    expect(whole.losses).toHaveLength(8);
    expect(whole.losses.at(-1)!).toBeLessThan(whole.losses[0] - 0.5);
    const resumed = await fullTraining(engine, options, whole.checkpoints[0]);
    expect(resumed.losses).toEqual(whole.losses.slice(3));
    expect(resumed.tokens).toEqual(whole.tokens.slice(3));
    expect(resumed.weights).toEqual(whole.weights);
    engine.destroy();
  });
});

describe.each(engines)('metrics, $name engine', ({ open }) => {
  /** Of a completion's tokens, how many the plain model thinks likeliest. */
  const correctOf = ({ promptIds, completionIds }: Completion) => {
    const logits = plainLogits(tinyConfig as Config, tinyWeights(), [...promptIds, ...completionIds]);
    return completionIds.filter((id, t) => {
      const row = logits[promptIds.length - 1 + t];
      return row.indexOf(Math.max(...row)) === id;
    }).length;
  };
  const likeliest = (promptIds: readonly number[], length: number): Completion => {
    const ids = [...promptIds];
    for (let t = 0; t < length; t++) {
      const row = plainLogits(tinyConfig as Config, tinyWeights(), ids).at(-1)!;
      ids.push(row.indexOf(Math.max(...row)));
    }
    return { promptIds, completionIds: ids.slice(promptIds.length) };
  };
  const some = [likeliest([1, 3], 3), ...examples, likeliest([1, 7, 5], 4)];
  const partOf = (completions: readonly Completion[]) =>
    completions.reduce((sum, completion) => sum + correctOf(completion), 0) /
    completions.reduce((sum, { completionIds }) => sum + completionIds.length, 0);
  const tokensOf = ({ promptIds, completionIds }: Completion) => promptIds.length + completionIds.length;
  const options = { max_steps: 2, per_device_train_batch_size: 3, gradient_accumulation_steps: 3 };

  it('of fine-tuning count the tokens seen so far, and those that were likeliest', async () => {
    const engine = await open();
    const policy = await loadPolicy(engine, await tinyFolder());
    addAdapter(policy, lora, 3);
    const rows: (StepMetrics & SftMetrics)[] = [];
    const held: EvalMetrics[] = [];
    await trainSft(
      policy,
      { train: some, evaluation: some.slice(0, 3) },
      { ...options, eval_steps: 1 },
      { onMetrics: (row) => void rows.push(row), onEvaluation: (row) => void held.push(row) },
    );
    expect(partOf(some)).toBeGreaterThan(0.3);
    expect(partOf(some)).toBeLessThan(0.9);
    expect(rows[0].mean_token_accuracy).toBeCloseTo(partOf(some), 6);
    const tokens = some.reduce((sum, each) => sum + tokensOf(each), 0);
    expect(rows.map(({ num_tokens }) => num_tokens)).toEqual([tokens, 2 * tokens]);
    expect(held.map(({ eval_num_tokens }) => eval_num_tokens)).toEqual([tokens, 2 * tokens]);
    engine.destroy();
  });

  it.each(['sigmoid', 'ipo'] as const)('of DPO do so of chosen responses, %s', async (loss_type) => {
    const engine = await open();
    const policy = await loadPolicy(engine, await tinyFolder());
    addAdapter(policy, lora, 3);
    const other = [9, 4];
    // Every second pair shares its chosen response with the one before.
    const chosen = some.map((_, i) => some[i - (i % 2)]);
    const pairs = chosen.map(({ promptIds, completionIds }, i) => ({
      promptIds,
      chosenIds: completionIds,
      rejectedIds: [...other, 3 + i],
    }));
    const rows: TrainMetrics[] = [];
    await trainDpo(policy, pairs, { ...options, loss_type }, { onMetrics: (row) => void rows.push(row) });
    expect(rows[0].mean_token_accuracy).toBeCloseTo(partOf(chosen), 6);
    // Sums over tokens, as TRL logs them, though ipo compares means.
    const sums = await sequenceLogps(policy, chosen, { adapter: false });
    expect(rows[0]['logps/chosen']).toBeCloseTo(sums.reduce((sum, logp) => sum + logp, 0) / chosen.length, 4);
    const tokens = chosen.reduce((sum, each) => sum + tokensOf(each) + each.promptIds.length + 3, 0);
    expect(rows.map(({ num_tokens }) => num_tokens)).toEqual([tokens, 2 * tokens]);
    engine.destroy();
  });
});

describe('training', () => {
  const cpu = engines.find(({ name }) => name === 'CPU')!;

  it('decays matrices, not norms', async () => {
    const engine = await cpu.open();
    const policy = await loadPolicy(engine, await tinyFolder());
    const decayed = weightsTrainable(policy).groups.filter(({ decay }) => decay);
    expect(decayed.every(({ name }) => !name.includes('norm'))).toBe(true);
    expect(decayed).toHaveLength(16);
    engine.destroy();
  });

  it('gives one step of accumulated micro-batches the gradient of the whole batch, dropout included', async () => {
    const engine = await cpu.open();
    const step = async (size: number, accumulation: number) => {
      const policy = await loadPolicy(engine, await tinyFolder());
      const adapter = addAdapter(policy, { ...lora, lora_dropout: 0.3 }, 3);
      let norm = 0;
      const options = {
        max_steps: 1,
        per_device_train_batch_size: size,
        gradient_accumulation_steps: accumulation,
      };
      const onMetrics = ({ grad_norm }: { grad_norm: number }) => {
        norm = grad_norm;
      };
      await trainSft(policy, examples, options, { onMetrics });
      return { norm, gradients: await engine.read(adapter.gradients) };
    };
    const whole = await step(6, 1);
    expect(whole.norm).toBeGreaterThan(0.1);
    for (const [size, accumulation] of [
      [2, 3],
      [1, 6],
    ]) {
      const parts = await step(size, accumulation);
      expect(largestDifference(parts.gradients, whole.gradients)).toBeLessThan(1e-6);
      expect(parts.norm).toBeCloseTo(whole.norm, 5);
    }
    engine.destroy();
  });

  it('has the same bits with gradient checkpointing, and holds less', async () => {
    const train = async (gradient_checkpointing: boolean) => {
      const engine = await cpu.open();
      let held = 0;
      const counting: Engine = {
        ...engine,
        tensor(shape, dtype) {
          held += shape.reduce((product, size) => product * size, 1);
          return engine.tensor(shape, dtype);
        },
        free(...tensors) {
          for (const { shape } of tensors) held -= shape.reduce((product, size) => product * size, 1);
          engine.free(...tensors);
        },
      };
      const policy = await loadPolicy(counting, await tinyFolder());
      addAdapter(policy, lora, 3);
      await trainSft(policy, examples, { max_steps: 3, gradient_checkpointing });
      const parameters = await policy.adapter!.read();
      engine.destroy();
      return { parameters, held };
    };
    const [kept, again] = [await train(false), await train(true)];
    expect(again.parameters).toEqual(kept.parameters);
    expect(again.held).toBeLessThan(0.8 * kept.held);
  });

  it('stops early at the parameters of the lowest eval_loss, resumed or not', async () => {
    const engine = await cpu.open();
    const options = {
      learning_rate: 0.2,
      num_train_epochs: 20,
      per_device_train_batch_size: 4,
      eval_steps: 1,
      save_steps: 2,
      early_stopping_patience: 3,
    };
    const whole = await fullTraining(engine, options, undefined, 2);
    const least = Math.min(...whole.evaluations);
    expect(whole.evaluations.length).toBeLessThan(20);
    expect(whole.evaluations.indexOf(least)).toBe(whole.evaluations.length - 4);
    const resumed = await fullTraining(engine, options, whole.checkpoints.at(-1), 2);
    expect(resumed.weights).toEqual(whole.weights);
    engine.destroy();
  });

  it('says so when the last update, or what is held out, overflows', async () => {
    const engine = await cpu.open();
    const constant = { lr_scheduler_type: 'constant', per_device_train_batch_size: 6 } as const;
    const last = fullTraining(engine, { ...constant, learning_rate: 1e39, max_steps: 1 });
    await expect(last).rejects.toThrow(/step 1: expected a finite sum of squares of what is trained, got /);
    const kept = fullTraining(engine, { ...constant, learning_rate: 1e30, max_steps: 3, save_steps: 1 });
    await expect(kept).rejects.toThrow(/step 1: expected a finite sum of squares/);
    const held = fullTraining(engine, { ...constant, learning_rate: 1e18, max_steps: 1 }, undefined, 2);
    await expect(held).rejects.toThrow(/step 1: expected a finite loss of what is held out, got NaN/);
    engine.destroy();
  });

  it('refuses soft labels where the loss takes none', async () => {
    const engine = await cpu.open();
    const policy = await loadPolicy(engine, await tinyFolder());
    const trainable = adapterTrainable(addAdapter(policy, lora, 3));
    const pair = { promptIds: [1], chosenIds: [4], rejectedIds: [5], label: 0.8 };
    for (const loss_type of ['ipo', 'hinge'] as const) {
      const training = trainDpo(policy, [pair], { loss_type }, {}, trainable);
      await expect(training).rejects.toThrow(
        /takes neither soft labels nor label_smoothing, got a label of 0.8/,
      );
    }
    engine.destroy();
  });
});

describe('stepIndices', () => {
  const lengths = Array.from({ length: 40 }, (_, i) => (i * 17) % 29);
  const groups = lengths.map((_, index) => [index]);

  it('goes through all examples of an epoch once, by length where asked', () => {
    const padding = (lengthOf?: (index: number) => number) => {
      const steps = [0, 1, 2, 3, 4].map((step) => stepIndices({ seed: 1, groups, lengthOf }, step, 5, 8));
      expect(steps.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
      return steps.reduce((sum, step) => {
        const longest = Math.max(...step.map((index) => lengths[index]));
        return sum + step.reduce((rest, index) => rest + longest - lengths[index], 0);
      }, 0);
    };
    expect(padding((index) => lengths[index])).toBeLessThan(0.4 * padding());
  });
});

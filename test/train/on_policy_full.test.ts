/** GRPO and RLOO of all weights, against plain formulas and the frozen weights they began with. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, Tensor } from '../../src/engine/engine.ts';
import { sequenceLogps } from '../../src/model/logps.ts';
import { namedWeights } from '../../src/model/parameters.ts';
import { addAdapter, loadPolicy, type Policy } from '../../src/model/policy.ts';
import { trainGrpo } from '../../src/train/on_policy.ts';
import type { Drawn } from '../../src/train/rollouts.ts';
import { weightsTrainable } from '../../src/train/trainable.ts';
import { engines } from '../model/engines.ts';
import { largestDifference } from '../model/golden.ts';
import { tinyFolder, tinyWeights } from '../model/tiny.ts';
import {
  checkGradient,
  type Options,
  PROMPTS,
  plainLoss,
  plainTokenLogps,
  rewards,
  SHARED,
  type Trainer,
  type Weights,
} from './on_policy_reference.ts';
import { trainTold } from './on_policy_run.ts';

async function train(trainer: Trainer, engine: Engine, options: Options, resume?: Uint8Array) {
  const policy = await loadPolicy(engine, await tinyFolder());
  const trainable = weightsTrainable(policy);
  const told = await trainTold(trainer, policy, options, resume, trainable);
  const flat = async (part: 'parameters' | 'gradients') => {
    const tensors = trainable.groups.map((group) => engine.read(group[part]));
    return Float32Array.from((await Promise.all(tensors)).flatMap((values) => [...values]));
  };
  return {
    keys: [...namedWeights(policy.config, policy.weights)].map(({ key }) => key),
    ...told,
    parameters: await flat('parameters'),
    gradients: await flat('gradients'),
  };
}

/** The model's weights by all of them in a row, in the order of `keys`. */
function weightsBy(keys: readonly string[]) {
  return (flat?: ArrayLike<number>): Weights => {
    const all = Float64Array.from(flat ?? []);
    let start = 0;
    return new Map(
      keys.map((key) => {
        const { shape, data } = tinyWeights().get(key)!;
        const values = flat ? all.slice(start, start + data.length) : Float64Array.from(data);
        start += data.length;
        return [key, { shape, data: values }];
      }),
    );
  };
}

describe.each(engines)('policy gradients of all weights, $name engine', ({ open }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await open();
  });
  afterAll(() => engine?.destroy());

  it.each<Trainer>(['grpo', 'rloo'])(
    '%s: away from the reference, a step has the loss, divergence and gradient of the formulas',
    async (trainer) => {
      const first = await train(trainer, engine, { max_steps: 1 });
      const both = await train(trainer, engine, { max_steps: 2 });
      const [, generation] = both.generated;
      const [before, metrics] = both.metrics;
      const weightsAt = weightsBy(both.keys);
      // What drew the second completions is the policy after one step; what they are measured from, the files'.
      for (const { rollout } of generation.rows) {
        const drawn = plainTokenLogps(weightsAt(first.parameters), rollout, SHARED.temperature);
        const reference = plainTokenLogps(tinyWeights(), rollout, SHARED.temperature);
        expect(largestDifference(rollout.refLogps, reference)).toBeLessThan(1e-5);
        if (trainer === 'rloo') expect(largestDifference(rollout.oldLogps, drawn)).toBeLessThan(1e-5);
        expect(largestDifference(drawn, Float32Array.from(reference))).toBeGreaterThan(1e-3);
      }
      expect(before.kl).toBeCloseTo(0, 6);
      const loss = plainLoss(trainer, weightsAt, generation, [0], {}, first.parameters);
      const at = loss(first.parameters);
      expect(metrics.loss).toBeCloseTo(at.loss, 5);
      if (trainer === 'grpo') expect(metrics.kl).toBeCloseTo(at.kl, 5);
      expect(metrics.kl).toBeGreaterThan(1e-4);
      checkGradient((flat) => loss(flat).loss, first.parameters, both.gradients, metrics.grad_norm);
    },
  );

  it('goes on from a checkpoint to the same bits, with the reference it began with', async () => {
    const options = { max_steps: 4, save_steps: 2 };
    const whole = await train('grpo', engine, options);
    expect(whole.checkpoints).toHaveLength(1);
    const resumed = await train('grpo', engine, options, whole.checkpoints[0]);
    expect(resumed.metrics).toEqual(whole.metrics.slice(2));
    expect(resumed.parameters).toEqual(whole.parameters);
  });
});

it('scores with the reference at hand, and frees it and all else that it made', async () => {
  const engine = await engines.find(({ name }) => name === 'CPU')!.open();
  let held = 0;
  const sizeOf = ({ shape }: { shape: readonly number[] }) => shape.reduce((all, size) => all * size, 1);
  const counted = (tensor: Tensor) => {
    held += sizeOf(tensor);
    return tensor;
  };
  const counting: Engine = {
    ...engine,
    tensor: (...args) => counted(engine.tensor(...args)),
    upload: (...args) => counted(engine.upload(...args)),
    free(...tensors) {
      for (const tensor of tensors) held -= sizeOf(tensor);
      engine.free(...tensors);
    },
  };
  const policy = await loadPolicy(counting, await tinyFolder());
  const trainable = weightsTrainable(policy);
  const before = held;
  const options = { ...SHARED, max_steps: 2 };
  let most = 0;
  const untrained = await loadPolicy(engine, await tinyFolder());
  const scoring = {
    ...rewards,
    score: async (rows: readonly Drawn[], reference?: Policy) => {
      expect(await sequenceLogps(reference!, rows)).toEqual(await sequenceLogps(untrained, rows));
      return await rewards.score(rows);
    },
  };
  const onGenerated = () => {
    most = Math.max(most, held);
  };
  await trainGrpo(policy, PROMPTS, scoring, options, { onGenerated }, trainable);
  policy.workspace.free();
  expect(held).toBe(before);
  expect(most).toBeGreaterThan(before);
  engine.destroy();
});

it('refuses to draw from an adapter where all weights are trained', async () => {
  const engine = await engines.find(({ name }) => name === 'CPU')!.open();
  const policy = await loadPolicy(engine, await tinyFolder());
  addAdapter(policy, { r: 1, lora_alpha: 1, target_modules: ['q_proj'] }, 1);
  await expect(trainGrpo(policy, PROMPTS, rewards, SHARED, {}, weightsTrainable(policy))).rejects.toThrow(
    /expected a policy that draws from what is trained/,
  );
  engine.destroy();
});

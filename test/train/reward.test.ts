import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { addAdapter } from '../../src/model/policy.ts';
import { loadRewardModel, type RewardModel } from '../../src/model/reward_model.ts';
import { sequenceScores } from '../../src/model/score_head.ts';
import { aligned, type Window } from '../../src/train/recorder.ts';
import {
  type RewardMetrics,
  type RewardPair,
  rewardGradients,
  rewardTrainable,
  trainReward,
} from '../../src/train/reward.ts';
import { engines } from '../model/engines.ts';
import { largestDifference } from '../model/golden.ts';
import { plainLogits } from '../model/plain.ts';
import { tinyConfig, tinyFolder, tinyWeights } from '../model/tiny.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';

const lora = { r: 2, lora_alpha: 3, target_modules: ['all-linear'] };
const pairs: RewardPair[] = [
  { chosenIds: [1, 3, 4, 6, 8], rejectedIds: [1, 3, 4, 10], label: 0.8 },
  { chosenIds: [1, 5, 9], rejectedIds: [1, 5, 9, 3, 3, 3, 17], margin: 0.75 },
  { chosenIds: [1, 17], rejectedIds: [1, 2] },
];
const CENTRE = 0.3;
const SCALE = 1 / 3;

/** Where a step's results go, outside of a training. */
function windowOn(engine: Engine): Window {
  const buffer = engine.tensor([aligned(3) + 6]);
  return (offset, shape) => engine.view(buffer, offset, shape);
}

/** SCALE · Σ losses, written out from the definition. */
function loss(engine: ReferenceEngine, model: RewardModel): number {
  const out = windowOn(engine);
  rewardGradients(model, pairs, CENTRE, SCALE, out, undefined);
  const scores = engine.values(out(aligned(3), [6]));
  return pairs.reduce((sum, { margin = 0, label = 1 }, i) => {
    const [chosen, rejected] = [scores[i], scores[3 + i]];
    const delta = chosen - rejected - margin;
    const likelihood = label * Math.log(1 + Math.exp(-delta)) + (1 - label) * Math.log(1 + Math.exp(delta));
    return sum + SCALE * (likelihood + CENTRE * (chosen + rejected) ** 2);
  }, 0);
}

describe('the gradient of the Bradley–Terry loss', () => {
  it.each(['all weights', 'factors and the head'])('agrees with finite differences: %s', async (what) => {
    const engine = new ReferenceEngine();
    const model = await loadRewardModel(engine, await tinyFolder(), { seed: 4 });
    engine.assign(
      model.weights.score,
      engine.values(model.weights.score).map((x) => 20 * x),
    );
    if (what !== 'all weights') {
      const adapter = addAdapter(model, lora, 3);
      engine.assign(
        adapter.parameters,
        engine.values(adapter.parameters).map((x, i) => x + 0.3 * Math.sin(i)),
      );
    }
    const trainable = rewardTrainable(model);
    rewardGradients(model, pairs, CENTRE, SCALE, windowOn(engine), trainable.pass);
    let largest = 0;
    for (const { name, parameters, gradients } of trainable.groups) {
      const gradient = engine.values(gradients);
      const point = engine.values(parameters);
      const step = 1e-5;
      for (let i = 0; i < point.length; i += Math.ceil(point.length / 40)) {
        const at = (delta: number) => {
          engine.assign(parameters, point.with(i, point[i] + delta));
          return loss(engine, model);
        };
        const numeric = (at(step) - at(-step)) / (2 * step);
        expect(Math.abs(gradient[i] - numeric), `${name} ${i}`).toBeLessThan(1e-8 + 1e-6 * Math.abs(numeric));
        largest = Math.max(largest, Math.abs(numeric));
      }
      engine.assign(parameters, point);
    }
    expect(largest).toBeGreaterThan(0.01);
  });
});

describe.each(engines)('a reward model, $name engine', ({ open }) => {
  it('scores a text by its last token, whatever stands beside it, as the definition says', async () => {
    const engine = await open();
    const model = await loadRewardModel(engine, await tinyFolder(), { seed: 4 });
    const head = await engine.read(model.weights.score);
    const texts = pairs.flatMap(({ chosenIds, rejectedIds }) => [chosenIds, rejectedIds]);
    const scores = await sequenceScores(model, texts);
    for (const [i, ids] of texts.entries()) {
      // Logits over a vocabulary of one token, whose row is the head.
      const weights = tinyWeights().set('lm_head.weight', { shape: [1, 10], data: head });
      const expected = plainLogits(tinyConfig, weights, ids).at(-1)![0];
      expect(scores[i]).toBeCloseTo(expected, 5);
      expect((await sequenceScores(model, [ids]))[0]).toBe(scores[i]);
    }
    engine.destroy();
  });

  it('has the gradient of the oracle', async () => {
    const gradientsOn = async (engine: Engine) => {
      const model = await loadRewardModel(engine, await tinyFolder(), { seed: 4 });
      const { groups, pass } = rewardTrainable(model);
      rewardGradients(model, pairs, CENTRE, SCALE, windowOn(engine), pass);
      return await Promise.all(groups.map(({ gradients }) => engine.read(gradients)));
    };
    const engine = await open();
    const oracle = await gradientsOn(new ReferenceEngine('f64'));
    for (const [i, values] of (await gradientsOn(engine)).entries()) {
      expect(largestDifference(values, oracle[i])).toBeLessThan(1e-5);
    }
    engine.destroy();
  });

  it.each(['all weights', 'LoRA'])('learns preferences it can tell by the text: %s', async (what) => {
    const engine = await open();
    const model = await loadRewardModel(engine, await tinyFolder());
    if (what === 'LoRA') addAdapter(model, lora, 3);
    const metrics: (RewardMetrics & { loss: number })[] = [];
    const held: number[] = [];
    const split = { train: pairs, evaluation: pairs.slice(0, 2) };
    const options = { learning_rate: 0.02, num_train_epochs: 24, center_rewards_coefficient: 0.01 };
    await trainReward(model, split, options, {
      onMetrics: (row) => void metrics.push(row),
      onEvaluation: (row) => void held.push(row.eval_loss),
    });
    expect(metrics[0].loss).toBeGreaterThan(0.6);
    const last = metrics.at(-1)!;
    expect(last).toMatchObject({ accuracy: 1, num_tokens: 23 * metrics.length });
    // The entropy of the raters who differ, a third of 0.5, is what no model gets below.
    expect(last.loss).toBeLessThan(0.35);
    expect(held.at(-1)!).toBeLessThan(held[0]);
    const [chosen, rejected] = await sequenceScores(model, [pairs[0].chosenIds, pairs[0].rejectedIds]);
    expect(chosen).toBeGreaterThan(rejected + 1);
    engine.destroy();
  });
});

import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import {
  completionBatch,
  completionLogps,
  completionLogpsBackward,
  type HeadLimits,
} from '../../src/model/head.ts';
import { backward, forward, type TrainPass } from '../../src/model/llama.ts';
import { namedWeights, zeroWeights } from '../../src/model/parameters.ts';
import { addAdapter, loadPolicy, type Policy } from '../../src/model/policy.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';
import { engines } from './engines.ts';
import { largestDifference } from './golden.ts';
import { type Tensors, tinyFolder } from './tiny.ts';

const completions = [
  { promptIds: [1, 3, 4], completionIds: [6, 8, 3, 10] },
  { promptIds: [1, 5], completionIds: [9, 3, 3, 3, 2] },
  { promptIds: [1], completionIds: [17] },
];
const WEIGHTS = Float32Array.of(0.5, -1.25, 2);

/** Adds the gradient of Σ WEIGHTS · logps. */
function gradients(policy: Policy, pass: TrainPass): void {
  const { engine } = policy;
  const batch = completionBatch(policy, completions);
  const hidden = forward(policy, batch, { ...pass, keep: true });
  completionLogps(policy, batch, hidden, engine.tensor([3]));
  const dlogps = engine.upload(WEIGHTS, [3]);
  backward(policy, batch, pass, completionLogpsBackward(policy, batch, hidden, dlogps, pass));
}

/** Σ WEIGHTS · logps. */
function value(policy: Policy, engine: ReferenceEngine, pass: TrainPass): number {
  const batch = completionBatch(policy, completions);
  const logps = engine.tensor([3]);
  completionLogps(policy, batch, forward(policy, batch, pass), logps);
  return engine.values(logps).reduce((sum, logp, i) => sum + logp * WEIGHTS[i], 0);
}

const untie = {};
const tie = { tie_word_embeddings: true };
const dropHead = (tensors: Tensors) => void tensors.delete('lm_head.weight');

const withHeads = { model_type: 'qwen3', architectures: ['Qwen3ForCausalLM'], attention_bias: true };
const addHeads = (tensors: Tensors) => {
  const vector = (size: number, centre: number) => ({
    shape: [size],
    data: Float32Array.from({ length: size }, (_, i) => centre + 0.3 * Math.sin(i + size)),
  });
  for (const layer of [0, 1]) {
    const path = `model.layers.${layer}.self_attn`;
    for (const name of ['q_norm', 'k_norm']) tensors.set(`${path}.${name}.weight`, vector(8, 1));
    for (const [name, size] of [
      ['q', 32],
      ['k', 16],
      ['v', 16],
      ['o', 10],
    ] as const) {
      tensors.set(`${path}.${name}_proj.bias`, vector(size, 0));
    }
  }
};

describe('the gradient of every weight', () => {
  it.each([
    ['a head of its own', untie, () => {}],
    ['a tied head', tie, dropHead],
    ['biases, and norms of queries and keys', withHeads, addHeads],
  ] as const)('agrees with finite differences, %s', async (_, config, change) => {
    const engine = new ReferenceEngine();
    const policy = await loadPolicy(engine, await tinyFolder(config, change));
    const pass = { gradients: zeroWeights(engine, policy.weights) };
    gradients(policy, pass);
    const found = new Map([...namedWeights(policy.config, pass.gradients)].map((each) => [each.key, each]));
    const step = 1e-5;
    for (const { key, tensor } of namedWeights(policy.config, policy.weights)) {
      const gradient = engine.values(found.get(key)!.tensor);
      const point = engine.values(tensor);
      for (let i = 0; i < point.length; i += Math.ceil(point.length / 24)) {
        const at = (delta: number) => {
          engine.assign(tensor, point.with(i, point[i] + delta));
          return value(policy, engine, {});
        };
        const numeric = (at(step) - at(-step)) / (2 * step);
        expect(Math.abs(gradient[i] - numeric), `${key} ${i}`).toBeLessThan(1e-8 + 1e-6 * Math.abs(numeric));
      }
      engine.assign(tensor, point);
    }
  });

  it('of the head is the same over parts of the logits', async () => {
    const engine = new ReferenceEngine();
    const larger = (tensors: Tensors) => {
      for (const key of ['model.embed_tokens.weight', 'lm_head.weight']) {
        const data = Float32Array.from({ length: 700 }, (_, i) => Math.sin(i * key.length));
        tensors.set(key, { shape: [70, 10], data });
      }
    };
    const policy = await loadPolicy(engine, await tinyFolder({ vocab_size: 70 }, larger));
    const long = { promptIds: [1], completionIds: Array.from({ length: 31 }, (_, i) => (i * 13) % 70) };
    const headGradient = (limits?: HeadLimits) => {
      const zeros = zeroWeights(engine, policy.weights);
      const batch = completionBatch(policy, [long, long, long]);
      const hidden = forward(policy, batch, { keep: true });
      completionLogps(policy, batch, hidden, engine.tensor([3]), limits);
      completionLogpsBackward(
        policy,
        batch,
        hidden,
        engine.upload(WEIGHTS, [3]),
        { gradients: zeros },
        limits,
      );
      return engine.values(zeros.head);
    };
    const whole = headGradient();
    expect(Math.max(...whole)).toBeGreaterThan(0.1);
    for (const rows of [64, 128]) {
      expect(largestDifference(headGradient({ columns: 32, rows }), whole)).toBeLessThan(1e-12);
    }
  });

  it('agrees with finite differences through dropout of the factors', async () => {
    const engine = new ReferenceEngine();
    const policy = await loadPolicy(engine, await tinyFolder());
    const adapter = addAdapter(policy, { r: 2, lora_alpha: 3, target_modules: ['all-linear'] }, 3);
    const start = engine.values(adapter.parameters).map((x, i) => x + 0.3 * Math.sin(i));
    engine.assign(adapter.parameters, start);
    const dropout = { rate: 0.4, key: [5, 6] as const, step: 7 };
    gradients(policy, { adapter, dropout });
    const gradient = engine.values(adapter.gradients);
    expect(value(policy, engine, { adapter, dropout })).not.toBeCloseTo(
      value(policy, engine, { adapter }),
      3,
    );
    const step = 1e-5;
    for (const { key, shape, offset } of adapter.entries()) {
      for (let i = offset; i < offset + shape[0] * shape[1]; i += 5) {
        const at = (delta: number) => {
          engine.assign(adapter.parameters, start.with(i, start[i] + delta));
          return value(policy, engine, { adapter, dropout });
        };
        const numeric = (at(step) - at(-step)) / (2 * step);
        expect(Math.abs(gradient[i] - numeric), key).toBeLessThan(1e-8 + 1e-6 * Math.abs(numeric));
      }
    }
  });

  describe.each(engines)('$name engine', ({ open }) => {
    async function all(checkpointing: boolean, engine: Engine): Promise<Map<string, Float32Array>> {
      const policy = await loadPolicy(engine, await tinyFolder(withHeads, addHeads));
      const adapter = addAdapter(policy, { r: 2, lora_alpha: 3, target_modules: ['all-linear'] }, 3);
      const dropout = { rate: 0.2, key: [5, 6] as const, step: 7 };
      const pass = { adapter, gradients: zeroWeights(engine, policy.weights), dropout, checkpointing };
      gradients(policy, pass);
      const result = new Map([['adapter', await engine.read(adapter.gradients)]]);
      for (const { key, tensor } of namedWeights(policy.config, pass.gradients)) {
        result.set(key, await engine.read(tensor));
      }
      return result;
    }

    it('has the same bits with checkpointing, and is that of the oracle', async () => {
      const engine = await open();
      const kept = await all(false, engine);
      expect(await all(true, engine)).toEqual(kept);
      const oracle = await all(false, new ReferenceEngine('f64'));
      for (const [key, values] of kept) {
        expect(largestDifference(values, oracle.get(key)!), key).toBeLessThan(2e-4);
      }
      engine.destroy();
    });
  });
});

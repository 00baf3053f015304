import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, Tensor } from '../../src/engine/engine.ts';
import { generate } from '../../src/model/generate.ts';
import { forward, tokenBatch } from '../../src/model/llama.ts';
import { sequenceLogps } from '../../src/model/logps.ts';
import type { Adapter } from '../../src/model/lora.ts';
import { addAdapter, loadPolicy, type Policy } from '../../src/model/policy.ts';
import { dpoGradients } from '../../src/train/dpo.ts';
import type { Window } from '../../src/train/recorder.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';
import { ARCHITECTURES, architectureFolder, randomWeights } from './architectures.ts';
import { engines } from './engines.ts';
import { largestDifference } from './golden.ts';
import { plainLogits, plainLogps } from './plain.ts';

const SEQUENCES = [
  [1, 3, 4, 6, 8, 3, 10, 5, 17, 0, 9, 12],
  [1, 5, 9, 2, 14, 15, 7],
];
const everything = { r: 2, lora_alpha: 3, target_modules: ['all-linear'] };
const PAIRS = [
  { promptIds: [1, 3, 4], chosenIds: [6, 8, 3, 10, 5], rejectedIds: [7, 2] },
  { promptIds: [1, 5], chosenIds: [9, 2], rejectedIds: [12, 13, 14, 15, 2], label: 0.7 },
];
const REFERENCE = { chosen: new Float32Array([-9, -6]), rejected: new Float32Array([-5, -13]) };

async function open(engine: Engine, index: number): Promise<Policy> {
  const [, config] = ARCHITECTURES[index];
  return loadPolicy(engine, await architectureFolder(config, randomWeights(config)));
}

/** Logits `[b·t, vocab]` of right-padded sequences. */
function logitsOf(policy: Policy, sequences: readonly number[][]): Tensor {
  const batch = tokenBatch(policy, sequences);
  const hidden = forward(policy, batch);
  const logits = policy.engine.tensor([batch.rows * batch.length, policy.config.vocabSize]);
  policy.engine.matmul(logits, hidden, policy.weights.head, { transposeB: true });
  return logits;
}

/** An adapter away from its start, the same on every engine. */
function bentAdapter(policy: Policy): { adapter: Adapter; start: Float32Array } {
  const adapter = addAdapter(policy, everything, 3);
  const start = Float32Array.from({ length: adapter.size }, (_, i) => 0.2 * Math.sin(1.7 * i));
  policy.engine.write(adapter.parameters, start);
  return { adapter, start };
}

function lossAndGradient(policy: Policy, adapter: Adapter): Tensor {
  const { engine } = policy;
  const results = engine.tensor([192]);
  const out: Window = (offset, shape) => engine.view(results, offset, shape);
  engine.zero(adapter.gradients);
  const config = { beta: 0.4, loss_type: 'sigmoid', label_smoothing: 0 } as const;
  dpoGradients(policy, PAIRS, REFERENCE, config, 1, out, { adapter });
  return out(0, [2]);
}

const cases = ARCHITECTURES.map(([name], index) => [name, index] as const);

describe.each(engines)('each architecture on the $name engine', ({ open: openEngine }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine();
  });
  afterAll(() => engine?.destroy());

  it.each(cases)('gives the logits and log-probabilities of its definition: %s', async (_, index) => {
    const [, config] = ARCHITECTURES[index];
    const weights = randomWeights(config);
    const policy = await open(engine, index);
    const { vocabSize } = policy.config;
    const values = await engine.read(logitsOf(policy, SEQUENCES));
    SEQUENCES.forEach((ids, row) => {
      const expected = plainLogits(config, weights, ids).flat();
      const start = row * SEQUENCES[0].length * vocabSize;
      expect(largestDifference(values.subarray(start, start + expected.length), expected)).toBeLessThan(1e-4);
    });
    const completions = SEQUENCES.map((ids) => ({
      promptIds: ids.slice(0, 2),
      completionIds: ids.slice(2),
    }));
    const expected = SEQUENCES.map((ids) => plainLogps(config, weights, ids, 2));
    expect(largestDifference(await sequenceLogps(policy, completions), expected)).toBeLessThan(2e-4);
  });

  it.each(cases)('samples with its cache what it would without one: %s', async (_, index) => {
    const [, config] = ARCHITECTURES[index];
    const weights = randomWeights(config);
    const policy = { ...(await open(engine, index)), eosIds: [] };
    const prompts = [
      [1, 3, 4, 6, 8],
      [1, 5],
    ];
    const rows = prompts.map((ids, row) => ({ ids, stream: [row, 0] as const }));
    const greedy = await generate(policy, rows, { maxNewTokens: 12, temperature: 0, key: [1, 2] });
    prompts.forEach((prompt, row) => {
      const ids = [...prompt];
      while (ids.length < prompt.length + 12) {
        const last = plainLogits(config, weights, ids).at(-1)!;
        ids.push(last.indexOf(Math.max(...last)));
      }
      expect(greedy[row].ids).toEqual(ids.slice(prompt.length));
    });
    const drawn = await generate(policy, rows, { maxNewTokens: 8, temperature: 1, key: [1, 2] });
    for (const [row, prompt] of prompts.entries()) {
      for (const [made, token] of drawn[row].ids.entries()) {
        const ids = [...prompt, ...drawn[row].ids.slice(0, made)];
        const logits = logitsOf(policy, [ids]);
        const last = engine.tensor([1, policy.config.vocabSize]);
        engine.gatherRows(last, logits, engine.upload(Uint32Array.of(ids.length - 1), [1]));
        const next = engine.tensor([1], 'u32');
        const streams = engine.upload(Uint32Array.of(row, 0), [1, 2]);
        const lengths = engine.upload(Uint32Array.of(ids.length), [1]);
        const plain = { temperature: 1, topK: 0, topP: 1, key: [1, 2] as const };
        engine.sample(next, engine.tensor([1]), last, streams, lengths, plain);
        expect([...(await engine.readU32(next))]).toEqual([token]);
      }
    }
  });

  it.each(cases)('has the gradient of the f64 oracle: %s', async (_, index) => {
    const oracle = new ReferenceEngine();
    const expected = await open(oracle, index);
    const exact = bentAdapter(expected).adapter;
    lossAndGradient(expected, exact);
    const policy = await open(engine, index);
    const { adapter } = bentAdapter(policy);
    lossAndGradient(policy, adapter);
    const gradient = await engine.read(adapter.gradients);
    expect(largestDifference(gradient, oracle.values(exact.gradients))).toBeLessThan(2e-4);
  });
});

describe('the gradient of each architecture in f64', () => {
  it.each(cases)('agrees with finite differences: %s', async (_, index) => {
    const engine = new ReferenceEngine();
    const policy = await open(engine, index);
    const { adapter, start } = bentAdapter(policy);
    lossAndGradient(policy, adapter);
    const gradient = engine.values(adapter.gradients);
    const at = (i: number, delta: number) => {
      engine.assign(
        adapter.parameters,
        Float64Array.from(start, (value, j) => (j === i ? value + delta : value)),
      );
      return engine.values(lossAndGradient(policy, adapter)).reduce((sum, value) => sum + value, 0);
    };
    const step = 1e-5;
    for (const { key, shape, offset } of adapter.entries()) {
      const size = shape[0] * shape[1];
      for (let i = offset; i < offset + size; i += Math.ceil(size / 5)) {
        const numeric = (at(i, step) - at(i, -step)) / (2 * step);
        expect(Math.abs(gradient[i] - numeric), key).toBeLessThan(1e-8 + 1e-6 * Math.abs(numeric));
      }
    }
  });
});

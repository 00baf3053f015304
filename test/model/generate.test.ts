import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { UserError } from '../../src/errors.ts';
import { generate } from '../../src/model/generate.ts';
import { forward, tokenBatch } from '../../src/model/llama.ts';
import { sequenceLogps } from '../../src/model/logps.ts';
import type { Policy } from '../../src/model/policy.ts';
import { addAdapter } from '../../src/model/policy.ts';
import { keyOf } from '../../src/random.ts';
import { engines } from './engines.ts';
import { goldenAdapter, hasFixtures, loadStories } from './golden.ts';

const key = keyOf(11, 'sample');
const prompts = ['Once upon a time', 'The big dog', 'One day, a girl named Sue saw', 'Tim'];
const sampling = { maxNewTokens: 20, temperature: 0.9, topK: 50, topP: 0.95, key };

describe.skipIf(!hasFixtures).each(engines)('sampling and scoring on the $name engine', ({ open }) => {
  let engine: Engine;
  let policy: Policy;
  let rows: { ids: number[]; stream: [number, number] }[];
  beforeAll(async () => {
    engine = await open();
    policy = await loadStories(engine);
    rows = prompts.map((prompt, row) => ({ ids: policy.tokenizer.encode(prompt), stream: [row, 0] }));
  });
  afterAll(() => engine?.destroy());

  it('gives a row the same tokens whatever stands beside it', async () => {
    const together = await generate(policy, rows, sampling);
    const inPairs = await generate(policy, rows.toReversed(), { ...sampling, batchSize: 2 });
    expect(inPairs.toReversed()).toEqual(together);
    const repeated = rows.flatMap(({ ids }, row) =>
      [0, 1].map((draw) => ({ ids, stream: [row, draw] as const })),
    );
    const twice = await generate(policy, repeated, { ...sampling, batchSize: 3 });
    expect(twice.filter((_, index) => index % 2 === 0)).toEqual(together);
    const [alone] = await generate(policy, rows.slice(2, 3), sampling);
    expect(alone).toEqual(together[2]);
    expect(together.every(({ ids }) => ids.length === 20)).toBe(true);
  });

  it('draws other tokens for another stream, key or policy', async () => {
    const row = rows[1];
    const [{ ids }] = await generate(policy, [row], sampling);
    const [other] = await generate(policy, [{ ...row, stream: [1, 1] }], sampling);
    const [another] = await generate(policy, [row], { ...sampling, key: keyOf(12, 'sample') });
    expect(other.ids).not.toEqual(ids);
    expect(another.ids).not.toEqual(ids);
    policy.adapter = goldenAdapter(policy);
    const [adapted] = await generate(policy, [row], sampling);
    const [plain] = await generate(policy, [row], { ...sampling, adapter: false });
    policy.adapter = undefined;
    expect(adapted.ids).not.toEqual(ids);
    expect(plain.ids).toEqual(ids);
  });

  it('gives with a cache what the whole sequence gives without', async () => {
    policy.adapter = goldenAdapter(policy);
    const generations = await generate(policy, rows, sampling);
    const { vocabSize, hiddenSize } = policy.config;
    const next = engine.tensor([1], 'u32');
    const logits = engine.tensor([1, vocabSize]);
    const last = engine.tensor([1, hiddenSize]);
    for (const [row, { ids }] of generations.entries()) {
      const sequence = [...rows[row].ids];
      for (const token of ids.slice(0, 12)) {
        const hidden = forward(policy, tokenBatch(policy, [sequence]), { adapter: policy.adapter });
        engine.gatherRows(last, hidden, engine.upload(new Uint32Array([sequence.length - 1]), [1]));
        engine.matmul(logits, last, policy.weights.head, { transposeB: true });
        const stream = engine.upload(new Uint32Array(rows[row].stream), [1, 2]);
        engine.sample(next, logits, stream, engine.upload(new Uint32Array([sequence.length]), [1]), sampling);
        expect((await engine.readU32(next))[0]).toBe(token);
        sequence.push(token);
      }
    }
    policy.adapter = undefined;
  });

  it('ends a row at the first end-of-sequence token, which it keeps', async () => {
    const whole = await generate(policy, rows, { ...sampling, maxNewTokens: 40 });
    const stop = whole[0].ids[6];
    const cut = await generate({ ...policy, eosIds: [stop, 1] }, rows, { ...sampling, maxNewTokens: 40 });
    whole.forEach(({ ids }, row) => {
      const end = ids.indexOf(stop);
      expect(cut[row]).toEqual({ ids: end < 0 ? ids : ids.slice(0, end + 1), finished: end >= 0 });
    });
    expect(cut[0].ids.length).toBeLessThanOrEqual(7);
  });

  it('scores a completion alike whatever stands beside it, padding or not', async () => {
    const completions = rows.map(({ ids }, row) => ({
      promptIds: ids,
      completionIds: Array.from({ length: 3 + 5 * row }, (_, i) => 260 + i + row),
    }));
    const together = await sequenceLogps(policy, completions);
    const single = await sequenceLogps(policy, completions.toReversed(), { batchTokens: 1 });
    expect(single.toReversed()).toEqual(together);
    expect([...(await sequenceLogps(policy, [{ promptIds: [1], completionIds: [] }]))]).toEqual([0]);
  });

  it('is unchanged by a fresh adapter', async () => {
    const completions = [{ promptIds: rows[0].ids, completionIds: [385, 328, 432] }];
    const before = await sequenceLogps(policy, completions);
    addAdapter(policy, { r: 4, lora_alpha: 8, target_modules: ['all-linear'] }, 1);
    expect(await sequenceLogps(policy, completions)).toEqual(before);
    policy.adapter = undefined;
  });

  it('refuses sequences that do not fit', async () => {
    const long = { ids: new Array<number>(500).fill(3), stream: [0, 0] as const };
    await expect(generate(policy, [long], sampling)).rejects.toThrow(UserError);
    await expect(generate(policy, [long], sampling)).rejects.toThrow(
      /at most 512 tokens, got a prompt of 500/,
    );
    await expect(generate(policy, [{ ...long, ids: [] }], sampling)).rejects.toThrow(/at least one token/);
  });

  it('stops at an abort signal', async () => {
    const signal = AbortSignal.abort();
    await expect(generate(policy, rows, { ...sampling, signal })).rejects.toThrow(/abort/i);
    const completions = [{ promptIds: [1], completionIds: [2] }];
    await expect(sequenceLogps(policy, completions, { signal })).rejects.toThrow(/abort/i);
  });
});

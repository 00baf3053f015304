import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { generate } from '../../src/model/generate.ts';
import { forward, tokenBatch } from '../../src/model/llama.ts';
import { sequenceLogps } from '../../src/model/logps.ts';
import type { Policy } from '../../src/model/policy.ts';
import { engines } from './engines.ts';
import {
  type DpoGolden,
  goldenAdapter,
  goldenJson,
  goldenTensors,
  hasFixtures,
  largestDifference,
  loadStories,
} from './golden.ts';

const greedy = { maxNewTokens: 60, temperature: 0, key: [0, 0] as const };

describe.skipIf(!hasFixtures).each(engines)('stories260K on the $name engine', ({ open }) => {
  let engine: Engine;
  let policy: Policy;
  beforeAll(async () => {
    engine = await open();
    policy = await loadStories(engine);
  });
  afterAll(() => engine?.destroy());

  it('gives the logits of PyTorch', async () => {
    const { input_ids: ids } = goldenJson<{ input_ids: number[][] }>('forward.json');
    const batch = tokenBatch(policy, ids);
    const hidden = forward(policy, batch);
    const logits = engine.tensor([batch.rows * batch.length, policy.config.vocabSize]);
    engine.matmul(logits, hidden, policy.weights.head, { transposeB: true });
    const expected = goldenTensors('forward.safetensors').get('logits')!;
    expect(largestDifference(await engine.read(logits), expected)).toBeLessThan(1e-4);
  });

  it('gives the log-probabilities of PyTorch, with and without the adapter', async () => {
    const { pairs, ref_logps: reference, policy_logps: adapted } = goldenJson<DpoGolden>('dpo.json');
    const completions = [
      ...pairs.map((pair) => ({ promptIds: pair.prompt_ids, completionIds: pair.chosen_ids })),
      ...pairs.map((pair) => ({ promptIds: pair.prompt_ids, completionIds: pair.rejected_ids })),
    ];
    policy.adapter = goldenAdapter(policy);
    const on = await sequenceLogps(policy, completions);
    const off = await sequenceLogps(policy, completions, { adapter: false });
    policy.adapter = undefined;
    expect(largestDifference(on, [...adapted.chosen, ...adapted.rejected])).toBeLessThan(2e-4);
    expect(largestDifference(off, [...reference.chosen, ...reference.rejected])).toBeLessThan(2e-4);
  });

  it('tells the published story, word for word', async () => {
    const [{ ids }] = await generate(policy, [{ ids: [1], stream: [0, 0] }], greedy);
    expect(policy.tokenizer.decode(ids)).toMatch(
      /^Once upon a time, there was a little girl named Lily\. She loved to play outside in the park\. One day, she saw a big, red ball\. /,
    );
  });
});

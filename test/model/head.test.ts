import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import {
  type CompletionBatch,
  completionBatch,
  completionLogps,
  completionLogpsBackward,
  type HeadLimits,
  logitsBytes,
} from '../../src/model/head.ts';
import { forward } from '../../src/model/llama.ts';
import type { Policy } from '../../src/model/policy.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';
import { engines } from './engines.ts';
import { type DpoGolden, goldenJson, hasFixtures, largestDifference, loadStories } from './golden.ts';

const pairs = hasFixtures ? goldenJson<DpoGolden>('dpo.json').pairs : [];
const completions = pairs.flatMap(({ prompt_ids: promptIds, chosen_ids, rejected_ids }) =>
  [chosen_ids, rejected_ids].map((completionIds) => ({ promptIds, completionIds })),
);
const slopes = Float32Array.from(completions, (_, i) => 0.3 * (i - 3.2));

/** In parts of rows and of columns, in parts of columns that are kept, and whole. */
const LIMITS: Record<string, HeadLimits> = {
  'rows and columns': { columns: 192, rows: 64 },
  columns: { columns: 192, rows: 2048 },
  nothing: { columns: 512, rows: 2048 },
};

/** logps `[b]` of completions, the gradient `[n, hidden]` of Σ slopes · logps and the sum `[1]` of their tokens' entropies. */
async function headOf(policy: Policy, batch: CompletionBatch, limits: HeadLimits) {
  const { engine } = policy;
  const hidden = forward(policy, batch);
  const logps = engine.tensor([batch.rows]);
  completionLogps(policy, batch, hidden, logps, limits);
  const dlogps = engine.upload(slopes.slice(0, batch.rows), [batch.rows]);
  const entropy = engine.tensor([1]);
  const dhidden = completionLogpsBackward(policy, batch, hidden, dlogps, { entropy }, limits);
  const values = [await engine.read(logps), await engine.read(dhidden), await engine.read(entropy)];
  engine.free(logps, dlogps, entropy);
  return values;
}

/** Σ −p log p over the vocabulary and the completion tokens, from all logits at once. */
async function totalEntropy(policy: Policy): Promise<number> {
  const { engine, config, weights } = policy;
  const batch = completionBatch(policy, completions);
  const hidden = forward(policy, batch);
  const rows = engine.tensor([batch.count, config.hiddenSize]);
  engine.gatherRows(rows, hidden, batch.predictors);
  const logits = engine.tensor([batch.count, config.vocabSize]);
  engine.matmul(logits, rows, weights.head, { transposeB: true });
  const values = await engine.read(logits);
  let sum = 0;
  for (let start = 0; start < values.length; start += config.vocabSize) {
    const row = values.subarray(start, start + config.vocabSize);
    const total = row.reduce((all, logit) => all + Math.exp(logit), 0);
    for (const logit of row) sum -= (Math.exp(logit) / total) * (logit - Math.log(total));
  }
  return sum;
}

describe.skipIf(!hasFixtures).each(engines)(
  'the head, split by what its memory allows, $name engine',
  ({ open }) => {
    let engine: Engine;
    let policy: Policy;
    let expected: Float32Array[];
    let entropies: number;
    beforeAll(async () => {
      engine = await open();
      policy = await loadStories(engine);
      const oracle = await loadStories(new ReferenceEngine());
      expected = await headOf(oracle, completionBatch(oracle, completions), LIMITS.nothing);
      entropies = await totalEntropy(oracle);
    });
    afterAll(() => engine?.destroy());

    it.each(Object.keys(LIMITS))(
      'by %s: gives the oracle’s gradients and PyTorch’s log-probabilities',
      async (by) => {
        const batch = completionBatch(policy, completions);
        expect(batch.count).toBeGreaterThan(2 * LIMITS['rows and columns'].rows);
        const [logps, dhidden, [entropy]] = await headOf(policy, batch, LIMITS[by]);
        const { ref_logps: golden } = goldenJson<DpoGolden>('dpo.json');
        const interleaved = pairs.flatMap((_, i) => [golden.chosen[i], golden.rejected[i]]);
        expect(largestDifference(logps, interleaved)).toBeLessThan(2e-4);
        expect(largestDifference(dhidden, expected[1])).toBeLessThan(2e-5);
        expect(Math.abs(entropy / entropies - 1)).toBeLessThan(2e-5);
      },
    );

    it('gives a completion the same bits with others beside it, kept or not', async () => {
      const { columns } = LIMITS.columns;
      const whole = await headOf(policy, completionBatch(policy, completions), LIMITS.columns);
      const parts = await headOf(policy, completionBatch(policy, completions), { columns, rows: 64 });
      expect(parts).toEqual(whole);
      const alone = await headOf(policy, completionBatch(policy, completions.slice(0, 1)), LIMITS.columns);
      expect(alone[0]).toEqual(whole[0].slice(0, 1));
    });

    it('takes no more memory than it says', async () => {
      const limits = LIMITS['rows and columns'];
      const batch = completionBatch(policy, completions);
      const taken: number[] = [];
      const take = policy.workspace.take.bind(policy.workspace);
      policy.workspace.take = (name: string, shape: readonly number[], dtype?: 'f32' | 'u32') => {
        if (name === 'logits') taken.push(4 * shape.reduce((product, size) => product * size, 1));
        return take(name, shape, dtype);
      };
      await headOf(policy, batch, limits);
      policy.workspace.take = take;
      expect(Math.max(...taken)).toBe(logitsBytes(batch.count, policy.config.vocabSize, limits));
    });
  },
);

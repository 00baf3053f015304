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

/** logps `[b]` of completions and the gradient `[n, hidden]` of Σ slopes · logps. */
async function headOf(policy: Policy, batch: CompletionBatch, limits: HeadLimits) {
  const { engine } = policy;
  const hidden = forward(policy, batch);
  const logps = engine.tensor([batch.rows]);
  completionLogps(policy, batch, hidden, logps, limits);
  const dlogps = engine.upload(slopes.slice(0, batch.rows), [batch.rows]);
  const dhidden = completionLogpsBackward(policy, batch, hidden, dlogps, undefined, limits);
  const values = [await engine.read(logps), await engine.read(dhidden)];
  engine.free(logps, dlogps);
  return values;
}

describe.skipIf(!hasFixtures).each(engines)(
  'the head, split by what its memory allows, $name engine',
  ({ open }) => {
    let engine: Engine;
    let policy: Policy;
    let expected: Float32Array[];
    beforeAll(async () => {
      engine = await open();
      policy = await loadStories(engine);
      const oracle = await loadStories(new ReferenceEngine());
      expected = await headOf(oracle, completionBatch(oracle, completions), LIMITS.nothing);
    });
    afterAll(() => engine?.destroy());

    it.each(Object.keys(LIMITS))(
      'by %s: gives the oracle’s gradients and PyTorch’s log-probabilities',
      async (by) => {
        const batch = completionBatch(policy, completions);
        expect(batch.count).toBeGreaterThan(2 * LIMITS['rows and columns'].rows);
        const [logps, dhidden] = await headOf(policy, batch, LIMITS[by]);
        const { ref_logps: golden } = goldenJson<DpoGolden>('dpo.json');
        const interleaved = pairs.flatMap((_, i) => [golden.chosen[i], golden.rejected[i]]);
        expect(largestDifference(logps, interleaved)).toBeLessThan(2e-4);
        expect(largestDifference(dhidden, expected[1])).toBeLessThan(2e-5);
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

import { describe, expect, it } from 'vitest';
import { scheduleFactor } from '../../src/train/schedule.ts';
import { loadWasm } from '../../src/wasm.ts';

describe('scheduleFactor', () => {
  // By hand from transformers' formulas, warm-up 2 of 6 steps: half a cosine at 0, 1/4, 1/2, 3/4 of the way down.
  it.each([
    ['cosine', [0, 0.5, 1, 0.8535533905932737, 0.5, 0.1464466094067262]],
    ['linear', [0, 0.5, 1, 0.75, 0.5, 0.25]],
    ['constant_with_warmup', [0, 0.5, 1, 1, 1, 1]],
    ['constant', [1, 1, 1, 1, 1, 1]],
  ] as const)('%s follows the formula of transformers', async (type, expected) => {
    const { cos } = await loadWasm();
    expected.forEach((factor, step) => {
      expect(scheduleFactor(type, step, 2, 6, cos)).toBeCloseTo(factor, 14);
    });
  });
});

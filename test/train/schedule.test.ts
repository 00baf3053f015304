import { describe, expect, it } from 'vitest';
import { type SchedulerKwargs, scheduleFactor } from '../../src/train/schedule.ts';
import { loadWasm } from '../../src/wasm.ts';

describe('scheduleFactor', () => {
  // By hand from transformers' formulas, warm-up 2 of 6 steps: half a cosine at 0, 1/4, 1/2, 3/4 of the way down.
  it.each([
    ['cosine', [0, 0.5, 1, 0.8535533905932737, 0.5, 0.1464466094067262]],
    ['linear', [0, 0.5, 1, 0.75, 0.5, 0.25]],
    ['constant_with_warmup', [0, 0.5, 1, 1, 1, 1]],
    ['constant', [1, 1, 1, 1, 1, 1]],
    ['cosine_with_restarts', [0, 0.5, 1, 0.5, 1, 0.5], { num_cycles: 2 }],
    ['cosine_with_min_lr', [0, 0.5, 1, 0.8682, 0.55, 0.2318], { min_lr_rate: 0.1 }],
    ['polynomial', [0, 0.5, 1, 0.60625, 0.325, 0.15625], { power: 2, lr_end: 0.1 }],
    ['inverse_sqrt', [0, 0.5, 1, 0.816496580927726, Math.SQRT1_2, 0.6324555320336759]],
  ] as const)(
    '%s follows the formula of transformers',
    async (type, expected, kwargs: SchedulerKwargs = {}) => {
      const math = await loadWasm();
      expected.forEach((factor, step) => {
        expect(scheduleFactor(type, step, 2, 6, math, kwargs)).toBeCloseTo(
          factor,
          type === 'cosine_with_min_lr' ? 4 : 14,
        );
      });
    },
  );
});

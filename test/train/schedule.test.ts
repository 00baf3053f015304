import { describe, expect, it } from 'vitest';
import {
  checkSchedule,
  type ScheduleConfig,
  type SchedulerKwargs,
  scheduleFactor,
} from '../../src/train/schedule.ts';
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
    ['cosine_with_min_lr', [0, 0.5, 1, 0.8682, 0.55, 0.2318], { min_lr: 0.2 }],
    ['cosine_warmup_with_min_lr', [0.5, 1, 0.8682, 0.55, 0.2318, 0.1], { min_lr: 0.2 }],
    ['cosine_warmup_with_min_lr', [0.25, 1, 0.8535533905932737, 0.5], { warmup_lr_rate: 0.25 }],
    ['polynomial', [0, 0.5, 1, 0.60625, 0.325, 0.15625], { power: 2, lr_end: 0.2 }],
    ['warmup_stable_decay', [0, 0.5, 1, 1, 1, 0.5], { num_decay_steps: 2 }],
    [
      'warmup_stable_decay',
      [0.1, 0.55, 1, 1, 0.7, 0.4],
      { num_decay_steps: 3, decay_type: 'linear', min_lr_ratio: 0.1 },
    ],
    [
      'warmup_stable_decay',
      [0, 1 - Math.SQRT1_2, 1, 1, 1 - Math.SQRT1_2, 0],
      { num_stable_steps: 1, num_decay_steps: 2, warmup_type: '1-sqrt', decay_type: '1-sqrt' },
    ],
    ['warmup_stable_decay', [0, 0.5, 1, 1, 1, 1], { num_decay_steps: 0, warmup_type: 'cosine' }],
    ['inverse_sqrt', [0, 0.5, 1, Math.sqrt(0.8), Math.sqrt(4 / 6)], { timescale: 4 }],
    ['inverse_sqrt', [0, 0.5, 1, 0.816496580927726, Math.SQRT1_2, 0.6324555320336759]],
  ] as const)(
    '%s follows the formula of transformers',
    async (type, expected, kwargs: SchedulerKwargs = {}) => {
      const math = await loadWasm();
      expected.forEach((factor, step) => {
        expect(
          scheduleFactor(
            { lr_scheduler_type: type, lr_scheduler_kwargs: kwargs, learning_rate: 2 },
            step,
            2,
            6,
            math,
          ),
        ).toBeCloseTo(factor, type.endsWith('with_min_lr') ? 4 : 14);
      });
    },
  );

  it.each([
    [{ lr_scheduler_type: 'wave' }, 'expected lr_scheduler_type as one of cosine, linear'],
    [
      { lr_scheduler_type: 'linear', lr_scheduler_kwargs: { power: 2 } },
      'of linear to be left out, got power',
    ],
    [
      { lr_scheduler_type: 'polynomial', lr_scheduler_kwargs: { power: '2' } },
      'expected power of lr_scheduler_kwargs as a number',
    ],
    [
      {
        lr_scheduler_type: 'warmup_stable_decay',
        lr_scheduler_kwargs: { num_decay_steps: 2, decay_type: 'fast' },
      },
      'expected decay_type of lr_scheduler_kwargs as one of linear, cosine, 1-sqrt, got "fast"',
    ],
    [{ lr_scheduler_type: 'warmup_stable_decay' }, 'needs num_decay_steps'],
    [{ lr_scheduler_type: 'reduce_lr_on_plateau' }, 'got reduce_lr_on_plateau'],
    [
      { lr_scheduler_type: 'cosine_with_min_lr', lr_scheduler_kwargs: { min_lr: 0.1, min_lr_rate: 0.1 } },
      'expected one of min_lr and min_lr_rate in lr_scheduler_kwargs, got both',
    ],
  ])('refuses %j', (config, message) => {
    expect(() => checkSchedule({ learning_rate: 1, ...config } as ScheduleConfig)).toThrow(message);
  });
});

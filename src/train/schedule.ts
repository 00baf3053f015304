/** Learning-rate schedules by the names of transformers' get_scheduler, as it defines them. */
export const SCHEDULERS = [
  'cosine',
  'linear',
  'constant',
  'constant_with_warmup',
  'cosine_with_restarts',
  'cosine_with_min_lr',
  'polynomial',
  'inverse_sqrt',
] as const;

export type SchedulerType = (typeof SCHEDULERS)[number];

/** Settings of single schedules, in the names of lr_scheduler_kwargs. */
export interface SchedulerKwargs {
  /** Half waves · 2 of `cosine` (0.5), restarts of `cosine_with_restarts` (1). */
  readonly num_cycles?: number;
  /** Exponent of `polynomial` (1). */
  readonly power?: number;
  /** Where `polynomial` ends, as part of the highest rate (1e-7 / learning_rate in transformers; 0 here). */
  readonly lr_end?: number;
  /** Where `cosine_with_min_lr` ends, as part of the highest rate (0). */
  readonly min_lr_rate?: number;
}

/** Functions of the Wasm module: the host's own differ between engines. */
export interface ScheduleMath {
  cos(x: number): number;
  exp(x: number): number;
  log(x: number): number;
}

/** Steps over which `inverse_sqrt` halves where there is no warm-up. */
const DEFAULT_TIMESCALE = 10_000;

/**
 * The factor on the learning rate at `step` = 0 … total − 1. It rises linearly from 0 over `warmup` steps (but for
 * `constant`), then follows the schedule.
 */
export function scheduleFactor(
  type: SchedulerType,
  step: number,
  warmup: number,
  total: number,
  { cos, exp, log }: ScheduleMath,
  kwargs: SchedulerKwargs = {},
): number {
  if (type === 'constant') return 1;
  if (step < warmup) return step / warmup;
  const progress = (step - warmup) / Math.max(1, total - warmup);
  const wave = (halves: number) => 0.5 * (1 + cos(Math.PI * halves));
  switch (type) {
    case 'constant_with_warmup':
      return 1;
    case 'linear':
      return Math.max(0, 1 - progress);
    case 'cosine':
      return Math.max(0, wave(2 * (kwargs.num_cycles ?? 0.5) * progress));
    case 'cosine_with_restarts':
      return progress >= 1 ? 0 : Math.max(0, wave(((kwargs.num_cycles ?? 1) * progress) % 1));
    case 'cosine_with_min_lr': {
      const least = kwargs.min_lr_rate ?? 0;
      return Math.max(0, wave(2 * (kwargs.num_cycles ?? 0.5) * progress) * (1 - least) + least);
    }
    case 'polynomial': {
      const { power = 1, lr_end = 0 } = kwargs;
      const left = Math.max(0, 1 - progress);
      return (1 - lr_end) * (power === 1 || left === 0 ? left : exp(power * log(left))) + lr_end;
    }
    case 'inverse_sqrt': {
      const timescale = warmup || DEFAULT_TIMESCALE;
      return 1 / Math.sqrt((step + timescale - warmup) / timescale);
    }
  }
}

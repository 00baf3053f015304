/** Learning-rate schedules by the names of transformers' get_scheduler, as it defines them. */
import { UserError } from '../errors.ts';

export const SCHEDULERS = [
  'cosine',
  'linear',
  'constant',
  'constant_with_warmup',
  'cosine_with_restarts',
  'cosine_with_min_lr',
  'cosine_warmup_with_min_lr',
  'polynomial',
  'inverse_sqrt',
  'warmup_stable_decay',
] as const;

export type SchedulerType = (typeof SCHEDULERS)[number];

const RAMPS = ['linear', 'cosine', '1-sqrt'] as const;
type Ramp = (typeof RAMPS)[number];

/** Settings of single schedules, in the names of lr_scheduler_kwargs; defaults are transformers'. */
export interface SchedulerKwargs {
  /** Half waves · 2 of the cosine schedules (0.5), restarts of `cosine_with_restarts` (1). */
  readonly num_cycles?: number;
  /** Exponent of `polynomial` (1). */
  readonly power?: number;
  /** The learning rate that `polynomial` ends at (1e-7). */
  readonly lr_end?: number;
  /** The learning rate that the two schedules with `min_lr` in their names end at, or what part of the highest (0). */
  readonly min_lr?: number;
  readonly min_lr_rate?: number;
  /** What part of the highest rate `cosine_warmup_with_min_lr` starts from; one step's rise if left out. */
  readonly warmup_lr_rate?: number;
  /** Steps over which `inverse_sqrt` halves (those of the warm-up). */
  readonly timescale?: number;
  /** Steps over which `warmup_stable_decay` falls, and at its height (all others). */
  readonly num_decay_steps?: number;
  readonly num_stable_steps?: number;
  /** How it rises (linear) and falls (cosine), and from and to what part of the highest rate (0). */
  readonly warmup_type?: Ramp;
  readonly decay_type?: Ramp;
  readonly min_lr_ratio?: number;
}

const KWARGS: Readonly<Record<SchedulerType, readonly (keyof SchedulerKwargs)[]>> = {
  cosine: ['num_cycles'],
  linear: [],
  constant: [],
  constant_with_warmup: [],
  cosine_with_restarts: ['num_cycles'],
  cosine_with_min_lr: ['num_cycles', 'min_lr', 'min_lr_rate'],
  cosine_warmup_with_min_lr: ['num_cycles', 'min_lr', 'min_lr_rate', 'warmup_lr_rate'],
  polynomial: ['power', 'lr_end'],
  inverse_sqrt: ['timescale'],
  warmup_stable_decay: [
    'num_decay_steps',
    'num_stable_steps',
    'warmup_type',
    'decay_type',
    'min_lr_ratio',
    'num_cycles',
  ],
};

/** The settings of a schedule, in the names of TrainingArguments. */
export interface ScheduleConfig {
  readonly lr_scheduler_type: SchedulerType;
  readonly lr_scheduler_kwargs?: SchedulerKwargs;
  readonly learning_rate: number;
}

/** Throws a UserError that names a schedule, or a setting of it, that there is not. */
export function checkSchedule({ lr_scheduler_type: type, lr_scheduler_kwargs = {} }: ScheduleConfig): void {
  if (!SCHEDULERS.includes(type)) {
    throw new UserError(
      `training: expected lr_scheduler_type as one of ${SCHEDULERS.join(', ')}, got ${type}`,
    );
  }
  const known = KWARGS[type];
  for (const [name, value] of Object.entries(lr_scheduler_kwargs)) {
    if (!known.includes(name as keyof SchedulerKwargs)) {
      throw new UserError(
        `training: expected lr_scheduler_kwargs of ${type} ${known.length > 0 ? `among ${known.join(', ')}` : 'to be left out'}, got ${name}`,
      );
    }
    const ramp = name === 'warmup_type' || name === 'decay_type';
    const valid = ramp ? RAMPS.includes(value as Ramp) : typeof value === 'number' && value >= 0;
    if (!valid) {
      const expected = ramp ? `one of ${RAMPS.join(', ')}` : 'a number of at least 0';
      throw new UserError(
        `training: expected ${name} of lr_scheduler_kwargs as ${expected}, got ${JSON.stringify(value)}`,
      );
    }
  }
  const { min_lr, min_lr_rate, timescale } = lr_scheduler_kwargs;
  if (min_lr !== undefined && min_lr_rate !== undefined) {
    throw new UserError('training: expected one of min_lr and min_lr_rate in lr_scheduler_kwargs, got both');
  }
  if (timescale === 0) {
    throw new UserError('training: expected timescale of lr_scheduler_kwargs above 0, got 0');
  }
  if (type === 'warmup_stable_decay' && lr_scheduler_kwargs.num_decay_steps === undefined) {
    throw new UserError(
      'training: warmup_stable_decay needs num_decay_steps in lr_scheduler_kwargs; give them as {"num_decay_steps": 100}',
    );
  }
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
 * `constant`, `cosine_warmup_with_min_lr`, and where `warmup_type` says otherwise), then follows the schedule.
 */
export function scheduleFactor(
  { lr_scheduler_type: type, lr_scheduler_kwargs: kwargs = {}, learning_rate }: ScheduleConfig,
  step: number,
  warmup: number,
  total: number,
  math: ScheduleMath,
): number {
  if (type === 'constant') return 1;
  if (type === 'warmup_stable_decay') return warmupStableDecay(kwargs, step, warmup, total, math);
  const wave = (halves: number) => 0.5 * (1 + math.cos(Math.PI * halves));
  const cycles = 2 * (kwargs.num_cycles ?? 0.5);
  const lowered = (factor: number) => {
    const least = kwargs.min_lr === undefined ? (kwargs.min_lr_rate ?? 0) : kwargs.min_lr / learning_rate;
    return Math.max(0, factor * (1 - least) + least);
  };
  const falling = Math.max(1, total - warmup);
  if (type === 'cosine_warmup_with_min_lr') {
    const { warmup_lr_rate: start } = kwargs;
    // The rates of one step further on than elsewhere.
    if (step >= warmup) return lowered(wave((cycles * (step - warmup + 1)) / falling));
    return start === undefined ? (step + 1) / warmup : start + ((1 - start) * step) / Math.max(1, warmup - 1);
  }
  if (step < warmup) return step / warmup;
  const progress = (step - warmup) / falling;
  switch (type) {
    case 'constant_with_warmup':
      return 1;
    case 'linear':
      return Math.max(0, 1 - progress);
    case 'cosine':
      return Math.max(0, wave(cycles * progress));
    case 'cosine_with_restarts':
      return progress >= 1 ? 0 : Math.max(0, wave(((kwargs.num_cycles ?? 1) * progress) % 1));
    case 'cosine_with_min_lr':
      return lowered(wave(cycles * progress));
    case 'polynomial': {
      const { power = 1, lr_end = 1e-7 } = kwargs;
      const left = Math.max(0, 1 - progress);
      const least = lr_end / learning_rate;
      return (1 - least) * (power === 1 || left === 0 ? left : math.exp(power * math.log(left))) + least;
    }
    case 'inverse_sqrt': {
      const timescale = kwargs.timescale ?? (warmup || DEFAULT_TIMESCALE);
      return 1 / Math.sqrt((step + timescale - warmup) / timescale);
    }
  }
}

function warmupStableDecay(
  kwargs: SchedulerKwargs,
  step: number,
  warmup: number,
  total: number,
  { cos }: ScheduleMath,
): number {
  const { num_decay_steps: decay = 0, min_lr_ratio: least = 0, num_cycles = 0.5 } = kwargs;
  const stable = kwargs.num_stable_steps ?? total - warmup - decay;
  const above = (part: number) => Math.max(0, part * (1 - least) + least);
  if (step < warmup) {
    const progress = step / warmup;
    switch (kwargs.warmup_type ?? 'linear') {
      case 'linear':
        return above(progress);
      case 'cosine':
        return above(0.5 * (1 - cos(Math.PI * progress)));
      case '1-sqrt':
        return above(1 - Math.sqrt(1 - progress));
    }
  }
  if (step < warmup + stable) return 1;
  if (step >= warmup + stable + decay) return least;
  const progress = (step - warmup - stable) / decay;
  switch (kwargs.decay_type ?? 'cosine') {
    case 'linear':
      return above(1 - progress);
    case 'cosine':
      return above(0.5 * (1 + cos(Math.PI * 2 * num_cycles * progress)));
    case '1-sqrt':
      return above(1 - Math.sqrt(progress));
  }
}

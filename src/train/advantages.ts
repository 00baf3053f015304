/**
 * How much better each completion is than the others of its prompt, as TRL's GRPOTrainer and RLOOTrainer compute it. Only +,
 * −, ×, / and √ in float64: the same bits on every host. Completions of one prompt stand together, `groupSize` of them.
 */

/** What rewards are divided by: the standard deviation of a prompt's, that of all, or nothing. */
export const SCALE_REWARDS = ['none', 'group', 'batch'] as const;
export type ScaleRewards = (typeof SCALE_REWARDS)[number];

export interface Advantages {
  /** `[number of completions]` */
  readonly values: Float64Array;
  /** Part of the prompts whose rewards are all equal: they teach nothing. */
  readonly fracZeroStd: number;
}

/** Keeps TRL's divisions finite. */
const EPSILON = 1e-4;
/** torch.isclose to 0. */
const ZERO = 1e-8;

/** Rewards relative to the mean of their prompt (Shao et al. 2024, section 4.1.2; unscaled: Liu et al. 2025). */
export function groupAdvantages(rewards: Float64Array, groupSize: number, scale: ScaleRewards): Advantages {
  const whole = deviation(rewards);
  const deviations = groupsOf(rewards, groupSize).map((group) =>
    scale === 'batch' ? whole : deviation(group),
  );
  const values = eachOfGroup(rewards, groupSize, (reward, group, index) => {
    const centred = reward - mean(group);
    return scale === 'none' ? centred : centred / (deviations[index] + EPSILON);
  });
  return { values, fracZeroStd: partBelow(deviations, ZERO) };
}

export interface LeaveOneOutOptions {
  /** Weight of `kl`. */
  readonly beta: number;
  /** Rewards are clipped to it before the penalty. */
  readonly clipRange?: readonly [number, number];
  /** To mean 0 and standard deviation 1 over all completions. */
  readonly normalize: boolean;
}

/**
 * REINFORCE leave-one-out (Ahmadian et al. 2024): rewards less beta · kl, relative to the mean of the prompt's other
 * completions. kl `[number of completions]` is log π/π_ref of each.
 */
export function leaveOneOutAdvantages(
  rewards: Float64Array,
  kl: Float64Array,
  groupSize: number,
  { beta, clipRange, normalize }: LeaveOneOutOptions,
): Advantages {
  const [low, high] = clipRange ?? [-Infinity, Infinity];
  const penalized = rewards.map((reward, i) => Math.min(Math.max(reward, low), high) - beta * kl[i]);
  const values = eachOfGroup(penalized, groupSize, (value, group) => {
    const sum = group.reduce((total, other) => total + other, 0);
    return value - (sum - value) / (groupSize - 1);
  });
  const deviations = groupsOf(penalized, groupSize).map(deviation);
  const [centre, spread] = normalize ? [mean(values), deviation(values) + EPSILON] : [0, 1];
  return {
    values: values.map((value) => (value - centre) / spread),
    fracZeroStd: partBelow(deviations, ZERO),
  };
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

/** Standard deviation with Bessel's correction. */
export function deviation(values: ArrayLike<number>): number {
  const centre = mean(values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] - centre) ** 2;
  return Math.sqrt(sum / (values.length - 1));
}

function groupsOf(values: Float64Array, size: number): Float64Array[] {
  return Array.from({ length: values.length / size }, (_, i) => values.subarray(i * size, (i + 1) * size));
}

function eachOfGroup(
  values: Float64Array,
  size: number,
  of: (value: number, group: Float64Array, index: number) => number,
): Float64Array {
  const groups = groupsOf(values, size);
  return values.map((value, i) => {
    const index = Math.floor(i / size);
    return of(value, groups[index], index);
  });
}

function partBelow(values: readonly number[], limit: number): number {
  return values.filter((value) => value <= limit).length / values.length;
}

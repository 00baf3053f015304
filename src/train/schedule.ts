/** Learning-rate schedules, as transformers' get_scheduler defines them. */
export type SchedulerType = 'cosine' | 'linear' | 'constant' | 'constant_with_warmup';

/**
 * The factor on the learning rate at `step` = 0 … total − 1. It rises linearly from 0 over `warmup` steps (but for
 * `constant`), then falls to 0 at `total` along half a cosine or a line, or stays. `cos` must be that of the Wasm
 * module: the host's own differs between engines.
 */
export function scheduleFactor(
  type: SchedulerType,
  step: number,
  warmup: number,
  total: number,
  cos: (x: number) => number,
): number {
  if (type === 'constant') return 1;
  if (step < warmup) return step / warmup;
  if (type === 'constant_with_warmup') return 1;
  const progress = (step - warmup) / Math.max(1, total - warmup);
  return type === 'linear' ? Math.max(0, 1 - progress) : Math.max(0, 0.5 * (1 + cos(Math.PI * progress)));
}

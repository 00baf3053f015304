import { UserError } from '../errors.ts';
import type { Policy } from '../model/policy.ts';
import { keyOf, Random } from '../random.ts';
import { loadWasm } from '../wasm.ts';
import { restoreCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { checkPairs, dpoGradients, type PreferencePair, type ReferenceLogps, referenceLogps } from './dpo.ts';
import { StepRecorder, type TrainMetrics } from './metrics.ts';
import { Optimizer, type OptimizerConfig } from './optimizer.ts';
import { type SchedulerType, scheduleFactor } from './schedule.ts';

/** Settings of DPO training, in the names of TRL's DPOConfig. */
export interface DpoConfig extends OptimizerConfig {
  readonly beta: number;
  readonly learning_rate: number;
  readonly lr_scheduler_type: SchedulerType;
  /** Where it is above 0 it takes the place of warmup_ratio. */
  readonly warmup_steps: number;
  readonly warmup_ratio: number;
  readonly num_train_epochs: number;
  /** Where it is above 0 training ends after so many steps. */
  readonly max_steps: number;
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
  readonly save_steps: number;
  readonly seed: number;
}

export const DPO_DEFAULTS: DpoConfig = {
  beta: 0.1,
  learning_rate: 5e-4,
  lr_scheduler_type: 'cosine',
  warmup_steps: 0,
  warmup_ratio: 0.1,
  num_train_epochs: 3,
  max_steps: 0,
  per_device_train_batch_size: 16,
  gradient_accumulation_steps: 1,
  weight_decay: 0,
  max_grad_norm: 1,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  save_steps: 25,
  seed: 0,
};

export interface TrainHooks {
  /** Called in order, a few steps late: metrics are read from the device several steps at a time. */
  readonly onMetrics?: (metrics: TrainMetrics, totalSteps: number) => void | Promise<void>;
  /** Called every save_steps steps but the last, after the metrics of all steps so far. */
  readonly onCheckpoint?: (checkpoint: Uint8Array, step: number) => void | Promise<void>;
  /** A checkpoint to go on from: the result is the same, bit for bit, as without the interruption. */
  readonly resume?: Uint8Array;
  /** What `referenceLogps` gave for these pairs; computed when absent. */
  readonly reference?: ReferenceLogps;
  readonly signal?: AbortSignal;
}

/** Steps whose metrics are read together: a read waits for the device, and none would let work pile up. */
const STEPS_PER_READ = 8;

/** Number of optimisation steps of a run over `pairs` pairs. */
export function totalSteps(config: DpoConfig, pairs: number): number {
  return config.max_steps > 0 ? config.max_steps : config.num_train_epochs * stepsPerEpoch(config, pairs);
}

function stepsPerEpoch(config: DpoConfig, pairs: number): number {
  return Math.ceil(pairs / (config.per_device_train_batch_size * config.gradient_accumulation_steps));
}

/**
 * Trains the policy's adapter by direct preference optimisation (Rafailov et al. 2023) against the policy without it.
 * Each epoch goes through the pairs in an order of its own, drawn from the seed; the last batch may be smaller.
 */
export async function trainDpo(
  policy: Policy,
  pairs: readonly PreferencePair[],
  options: Partial<DpoConfig> = {},
  hooks: TrainHooks = {},
): Promise<void> {
  const { engine, adapter } = policy;
  const config = { ...DPO_DEFAULTS, ...options };
  if (!adapter) throw new Error('trainDpo: expected a policy with an adapter');
  checkConfig(config);
  checkPairs(policy, pairs);
  const { cos } = await loadWasm();
  const reference = hooks.reference ?? (await referenceLogps(policy, pairs, { signal: hooks.signal }));

  const { per_device_train_batch_size: microSize, gradient_accumulation_steps: accumulation } = config;
  const total = totalSteps(config, pairs.length);
  const perEpoch = stepsPerEpoch(config, pairs.length);
  const warmup = config.warmup_steps > 0 ? config.warmup_steps : Math.ceil(total * config.warmup_ratio);
  const settings = JSON.stringify({ ...config, ...adapter.config, pairs: pairs.length });
  const groups = groupByPrompt(pairs);
  const optimizer = new Optimizer(policy, adapter, config);
  const recorder = new StepRecorder(engine, config.beta, STEPS_PER_READ, accumulation, microSize);
  const report = async () => {
    for (const metrics of await recorder.read()) await hooks.onMetrics?.(metrics, total);
  };

  try {
    const first = hooks.resume ? restoreCheckpoint(engine, optimizer, hooks.resume, settings) : 0;
    for (let step = first; step < total; step++) {
      hooks.signal?.throwIfAborted();
      const batch = stepIndices(config.seed, groups, step, perEpoch, microSize * accumulation);
      const microBatches: ReferenceLogps[] = [];
      engine.zero(adapter.gradients);
      for (let start = 0; start < batch.length; start += microSize) {
        const indices = batch.slice(start, start + microSize);
        const references = {
          chosen: Float32Array.from(indices, (index) => reference.chosen[index]),
          rejected: Float32Array.from(indices, (index) => reference.rejected[index]),
        };
        const { losses, logps } = recorder.microBatch(microBatches.length, indices.length);
        const micro = indices.map((index) => pairs[index]);
        dpoGradients(policy, adapter, micro, references, config.beta, 1 / batch.length, losses, logps);
        microBatches.push(references);
      }
      const learningRate =
        config.learning_rate * scheduleFactor(config.lr_scheduler_type, step, warmup, total, cos);
      optimizer.update(step + 1, learningRate, recorder.gradSquares());
      engine.flush();
      recorder.record({ step: step + 1, epoch: (step + 1) / perEpoch, learningRate, microBatches });

      const last = step + 1 === total;
      const save = hooks.onCheckpoint !== undefined && (step + 1) % config.save_steps === 0 && !last;
      if (recorder.full || save || last) await report();
      if (save)
        await hooks.onCheckpoint?.(await writeCheckpoint(engine, optimizer, step + 1, settings), step + 1);
    }
  } finally {
    optimizer.free();
    recorder.free();
  }
}

/**
 * The pairs of one step: a slice of its epoch's order. Where a step holds all pairs of a prompt, they stay together, so
 * that responses in several of them are computed once; else the pairs of all prompts are mixed.
 */
function stepIndices(
  seed: number,
  groups: readonly (readonly number[])[],
  step: number,
  perEpoch: number,
  size: number,
): number[] {
  const random = new Random(keyOf(seed, 'epoch'), Math.floor(step / perEpoch));
  const together = groups.every((group) => group.length <= size);
  const order = together ? random.shuffle([...groups]).flat() : random.shuffle(groups.flat());
  const start = (step % perEpoch) * size;
  return order.slice(start, start + size);
}

/** Indices of the pairs of each prompt. */
function groupByPrompt(pairs: readonly PreferencePair[]): number[][] {
  const groups = new Map<string, number[]>();
  pairs.forEach(({ promptIds }, index) => {
    const key = promptIds.join();
    const group = groups.get(key);
    if (group) group.push(index);
    else groups.set(key, [index]);
  });
  return [...groups.values()];
}

function checkConfig(config: DpoConfig): void {
  const positive = ['beta', 'learning_rate', 'adam_epsilon'] as const;
  const whole = [
    'num_train_epochs',
    'per_device_train_batch_size',
    'gradient_accumulation_steps',
    'save_steps',
  ] as const;
  for (const name of positive) {
    if (!(config[name] > 0 && config[name] < Infinity)) {
      throw new UserError(`training: expected ${name} above 0, got ${config[name]}`);
    }
  }
  for (const name of whole) {
    if (!Number.isInteger(config[name]) || config[name] < 1) {
      throw new UserError(`training: expected ${name} as a positive integer, got ${config[name]}`);
    }
  }
}

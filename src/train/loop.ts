import type { Engine } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import type { Dropout, TrainPass } from '../model/llama.ts';
import { keyOf } from '../random.ts';
import { loadWasm } from '../wasm.ts';
import { type Best, restoreCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { type TrainConfig, warmupSteps } from './config.ts';
import { Optimizer } from './optimizer.ts';
import { StepRecorder, type Window } from './recorder.ts';
import { scheduleFactor } from './schedule.ts';
import { type Trainable, zeroGradients } from './trainable.ts';

/** One optimisation step, in the names of transformers. */
export interface StepMetrics {
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  /** Before clipping. */
  readonly grad_norm: number;
  /** The rate this step used. */
  readonly learning_rate: number;
  /** Tokens of all steps so far, prompts included. */
  readonly num_tokens: number;
}

/** The result of an evaluation after `step`. */
export interface EvalMetrics {
  readonly step: number;
  readonly eval_loss: number;
  /** Tokens trained on so far. */
  readonly eval_num_tokens: number;
}

/** Examples that go through the model at once. */
export interface MicroBatch {
  /** Writes its results and adds to the gradients, or, without a pass, only writes its results. */
  record(out: Window, pass: TrainPass | undefined): void;
}

/** What one step learns from. */
export interface StepBatch<M> {
  readonly epoch: number;
  /** Tokens of its examples, prompts included; of those that were drawn for it. */
  readonly tokens: number;
  readonly microBatches: readonly MicroBatch[];
  /** The step's loss and further metrics from its micro-batches' results. */
  summarize(parts: readonly Float32Array[]): M & { readonly loss: number };
}

/** What a training calls as it goes, and what it starts from. */
export interface TrainHooks<M = object> {
  /** Called in order, a few steps late: metrics are read from the device several steps at a time. */
  readonly onMetrics?: (metrics: StepMetrics & M, totalSteps: number) => void | Promise<void>;
  readonly onEvaluation?: (metrics: EvalMetrics & M, totalSteps: number) => void | Promise<void>;
  /** Called every save_steps steps but the last, after the metrics of all steps so far. */
  readonly onCheckpoint?: (checkpoint: Uint8Array, step: number) => void | Promise<void>;
  /** A checkpoint to go on from: the result is the same, bit for bit, as without the interruption. */
  readonly resume?: Uint8Array;
  readonly signal?: AbortSignal;
}

export interface Training<M> {
  readonly engine: Engine;
  readonly trainable: Trainable;
  readonly config: TrainConfig;
  readonly total: number;
  /** Most micro-batches of a step, and most results of a micro-batch. */
  readonly microBatches: number;
  readonly width: number;
  /** What a checkpoint depends on besides the configuration and the trainable. */
  readonly settings: Readonly<Record<string, unknown>>;
  batch(step: number): StepBatch<M> | Promise<StepBatch<M>>;
  /** The held-out examples; absent where there are none. */
  readonly evaluation?: StepBatch<M>;
  /** Steps whose metrics are read together: a read waits for the device, and none would let work pile up. */
  readonly stepsPerRead: number;
  /** Steps between evaluations and between checkpoints. */
  readonly evalSteps: number;
  readonly saveSteps: number;
}

/** Makes the steps of a training; see `StepBatch` for what differs between its kinds. */
export async function runTraining<M extends object>(
  training: Training<M>,
  hooks: TrainHooks<M> = {},
): Promise<void> {
  const { engine, trainable, config, total, evaluation } = training;
  const math = await loadWasm();
  const warmup = warmupSteps(config, total);
  const settings = JSON.stringify({ ...decisive(config), ...trainable.settings, ...training.settings });
  const optimizer = new Optimizer(engine, trainable, config);
  const recorder = new StepRecorder(engine, training.stepsPerRead, training.microBatches, training.width);
  const recorded: { step: number; learningRate: number; tokens: number; batch: StepBatch<M> }[] = [];
  const report = async () => {
    for (const [i, { gradSquares, parts }] of (await recorder.read()).entries()) {
      const { step, learningRate, tokens, batch } = recorded[i];
      const { loss, ...rest } = batch.summarize(parts);
      const grad_norm = Math.sqrt(gradSquares);
      checkFinite(step, 'loss and gradient', loss, grad_norm);
      const common = { step, epoch: batch.epoch, loss, grad_norm, learning_rate: learningRate };
      const metrics = { ...common, num_tokens: tokens, ...rest };
      await hooks.onMetrics?.(metrics as unknown as StepMetrics & M, total);
    }
    recorded.length = 0;
  };

  let best: Best | undefined;
  try {
    let [first, tokens] = [0, 0];
    if (hooks.resume) {
      const restored = restoreCheckpoint(engine, optimizer, hooks.resume, settings);
      first = restored.step;
      tokens = restored.tokens;
      best = restored.best;
    }
    for (let step = first; step < total; step++) {
      hooks.signal?.throwIfAborted();
      const batch = await training.batch(step);
      const pass = { ...trainable.pass, ...passOf(trainable, config, step) };
      zeroGradients(engine, trainable);
      batch.microBatches.forEach((micro, index) => {
        micro.record(recorder.window(index), pass);
      });
      const factor = scheduleFactor(config, step, warmup, total, math);
      const learningRate = config.learning_rate * factor;
      optimizer.update(step + 1, learningRate, recorder.gradSquares());
      engine.flush();
      recorder.close(batch.microBatches.length);
      tokens += batch.tokens;
      recorded.push({ step: step + 1, learningRate, tokens, batch });

      const last = step + 1 === total;
      const evaluate = evaluation !== undefined && ((step + 1) % training.evalSteps === 0 || last);
      const save = hooks.onCheckpoint !== undefined && (step + 1) % training.saveSteps === 0 && !last;
      if (recorder.full || save || last || evaluate) await report();
      if (evaluate) {
        const metrics = await evaluateBatch(engine, evaluation, training.width);
        checkFinite(step + 1, 'loss of what is held out', metrics.loss);
        const named = Object.entries(metrics).map(([name, value]) => [`eval_${name}`, value]);
        const about = { step: step + 1, epoch: batch.epoch, eval_num_tokens: tokens };
        const row = { ...about, ...Object.fromEntries(named) };
        await hooks.onEvaluation?.(row as EvalMetrics & M, total);
        if (config.early_stopping_patience > 0) {
          best = await betterOf(engine, optimizer, best, metrics.loss, step + 1);
          if (best.waited >= config.early_stopping_patience) break;
        }
      }
      if (save) {
        await checkParameters(optimizer, step + 1);
        const bytes = await writeCheckpoint(engine, optimizer, { step: step + 1, tokens }, settings, best);
        await hooks.onCheckpoint?.(bytes, step + 1);
      }
    }
    if (best) {
      for (const { name, parameters } of optimizer.states)
        engine.write(parameters, best.parameters.get(name)!);
    }
    await checkParameters(optimizer, total);
  } finally {
    optimizer.free();
    recorder.free();
  }
}

/** Without what no bit depends on: training may go on where there is less memory. */
function decisive({ gradient_checkpointing: _, ...config }: TrainConfig): Partial<TrainConfig> {
  return config;
}

function passOf(
  { pass: { adapter } }: Trainable,
  config: TrainConfig,
  step: number,
): { dropout?: Dropout; checkpointing: boolean } {
  const rate = adapter?.config.lora_dropout ?? 0;
  const dropout = rate > 0 ? { rate, key: keyOf(config.seed, 'dropout'), step } : undefined;
  return { dropout, checkpointing: config.gradient_checkpointing };
}

async function evaluateBatch<M>(
  engine: Engine,
  batch: StepBatch<M>,
  width: number,
): Promise<M & { readonly loss: number }> {
  const recorder = new StepRecorder(engine, 1, batch.microBatches.length, width);
  try {
    batch.microBatches.forEach((micro, index) => {
      micro.record(recorder.window(index), undefined);
      engine.flush();
    });
    recorder.close(batch.microBatches.length);
    const [{ parts }] = await recorder.read();
    return batch.summarize(parts);
  } finally {
    recorder.free();
  }
}

async function betterOf(
  engine: Engine,
  optimizer: Optimizer,
  best: Best | undefined,
  loss: number,
  step: number,
): Promise<Best> {
  if (best && !(loss < best.loss)) return { ...best, waited: best.waited + 1 };
  const parameters = new Map<string, Float32Array>();
  for (const { name, parameters: tensor } of optimizer.states)
    parameters.set(name, await engine.read(tensor));
  return { loss, step, waited: 0, parameters };
}

/** A last update may overflow, which no loss has seen. */
async function checkParameters(optimizer: Optimizer, step: number): Promise<void> {
  checkFinite(step, 'sum of squares of what is trained', await optimizer.parameterSquares());
}

function checkFinite(step: number, what: string, ...values: number[]): void {
  if (values.every(Number.isFinite)) return;
  throw new UserError(
    `training: step ${step}: expected a finite ${what}, got ${values.join(' and ')}; lower the learning rate`,
  );
}

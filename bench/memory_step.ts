/** The LoRA-DPO step of bench/memory.ts; the same on every host. */
import { type DeviceChoice, openEngine } from '../src/host/device.ts';
import type { Dtype } from '../src/model/dtype.ts';
import { addAdapter } from '../src/model/policy.ts';
import { Workspace } from '../src/model/workspace.ts';
import { Random } from '../src/random.ts';
import { TRAIN_DEFAULTS } from '../src/train/config.ts';
import { referenceLogps } from '../src/train/dpo.ts';
import { DPO, fitTraining, spaceOf } from '../src/train/fit.ts';
import { trainDpo } from '../src/train/trainer.ts';
import { randomPolicy, shapeConfig } from './random_policy.ts';

const LORA = { r: 8, lora_alpha: 16, target_modules: ['all-linear'] };

export interface MemoryStep {
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly layers: number;
  /** Tokens of a sequence, half of which are the prompt. */
  readonly length: number;
  readonly pairs: number;
  readonly dtype: Dtype;
}

export interface MemoryTaken {
  readonly name: string;
  readonly engine: string;
  /** Bytes. */
  readonly weights: number;
  readonly planned: number;
  readonly live: number;
  readonly peak: number;
  readonly loss: number;
  readonly gradNorm: number;
  readonly seconds: number;
}

export async function memoryStep(step: MemoryStep): Promise<MemoryTaken> {
  const engine = await openEngine(step.device, { threads: step.threads });
  const policy = await randomPolicy(engine, shapeConfig('SmolLM2-135M', step.layers), step.dtype);
  const weights = engine.memory().live;
  const random = new Random([1, 2]);
  const ids = () => Array.from({ length: step.length / 2 }, () => random.below(policy.config.vocabSize));
  const pairs = Array.from({ length: step.pairs }, () => ({
    promptIds: ids(),
    chosenIds: ids(),
    rejectedIds: ids(),
  }));
  const config = { max_steps: 1, per_device_train_batch_size: step.pairs };
  const fitted = await fitTraining(DPO, spaceOf(policy, LORA), pairs, { ...TRAIN_DEFAULTS, ...config });
  addAdapter(policy, LORA, 0);
  const start = performance.now();
  const reference = await referenceLogps(policy, pairs);
  policy.workspace.free();
  const workspace = new Workspace(engine, fitted.capacities);
  let [loss, gradNorm] = [Number.NaN, Number.NaN];
  await trainDpo({ ...policy, workspace }, pairs, config, {
    reference,
    onMetrics(row) {
      [loss, gradNorm] = [row.loss, row.grad_norm];
    },
  });
  const seconds = (performance.now() - start) / 1000;
  const { live, peak } = engine.memory();
  engine.destroy();
  const { bytes: planned } = fitted;
  const { name } = policy;
  return { name, engine: engine.info.description, weights, planned, live, peak, loss, gradNorm, seconds };
}

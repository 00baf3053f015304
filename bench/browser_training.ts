/** How fast the demo's policy learns from pairs; the same on every host. */
import type { Folder } from '../src/data/folder.ts';
import { type DeviceChoice, openEngine } from '../src/host/device.ts';
import { addAdapter, loadPolicy } from '../src/model/policy.ts';
import { Random } from '../src/random.ts';
import { referenceLogps } from '../src/train/dpo.ts';
import { trainDpo } from '../src/train/trainer.ts';

const PAIRS = 4;
const PROMPT = 12;
const RESPONSE = 36;
const STEPS = 2;
/** The first compiles the kernels. */
const RUNS = 3;

export interface TrainingRate {
  readonly engine: string;
  /** Tokens of chosen and rejected sequences a second, the best of the runs. */
  readonly rate: number;
}

export async function trainingRate(
  folder: Folder,
  device: DeviceChoice,
  threads: number,
): Promise<TrainingRate> {
  const engine = await openEngine(device, { threads });
  const policy = await loadPolicy(engine, folder);
  const random = new Random([1, 2]);
  const ids = (count: number) => Array.from({ length: count }, () => random.below(policy.config.vocabSize));
  const pairs = Array.from({ length: PAIRS }, () => ({
    promptIds: ids(PROMPT),
    chosenIds: ids(RESPONSE),
    rejectedIds: ids(RESPONSE),
  }));
  addAdapter(policy, { r: 8, lora_alpha: 16, target_modules: ['all-linear'] }, 0);
  const reference = await referenceLogps(policy, pairs);
  const tokens = STEPS * PAIRS * 2 * (PROMPT + RESPONSE);
  let best = Infinity;
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    await trainDpo(policy, pairs, { per_device_train_batch_size: PAIRS, max_steps: STEPS }, { reference });
    best = Math.min(best, (performance.now() - start) / 1000);
  }
  const { description, vendor } = engine.info;
  engine.destroy();
  return { engine: [description, vendor].filter(Boolean).join(', '), rate: tokens / best };
}

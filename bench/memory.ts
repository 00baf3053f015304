/**
 * Memory of a LoRA-DPO step on random weights of the shape of SmolLM2-135M: what the engine holds and what the process
 * takes at most.
 *
 *     node bench/memory.ts [--device cpu|webgpu] [--threads n] [--layers 30] [--length 512] [--pairs 1]
 *                          [--dtype float32|float16|bfloat16|nf4]
 *
 * Half of each sequence is the prompt. The step is of all-linear LoRA with r = 8, with AdamW.
 */
import { parseArgs } from 'node:util';
import { type DeviceChoice, openEngine } from '../src/host/device.ts';
import type { Dtype } from '../src/model/dtype.ts';
import { addAdapter } from '../src/model/policy.ts';
import { Random } from '../src/random.ts';
import { trainDpo } from '../src/train/trainer.ts';
import { randomPolicy, shapeConfig } from './random_policy.ts';

const { values: given } = parseArgs({
  options: {
    device: { type: 'string', default: 'cpu' },
    threads: { type: 'string' },
    layers: { type: 'string', default: '30' },
    length: { type: 'string', default: '512' },
    pairs: { type: 'string', default: '1' },
    dtype: { type: 'string', default: 'float32' },
  },
});
const [layers, length, count] = [given.layers, given.length, given.pairs].map(Number);
const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;

const threads = given.threads === undefined ? undefined : Number(given.threads);
const engine = await openEngine(given.device as DeviceChoice, { threads });
const policy = await randomPolicy(engine, shapeConfig('SmolLM2-135M', layers), given.dtype as Dtype);
console.log(`${policy.name} on ${engine.info.description}: weights ${mebibytes(engine.memory().live)}`);
addAdapter(policy, { r: 8, lora_alpha: 16, target_modules: ['all-linear'] }, 0);
const random = new Random([1, 2]);
const ids = (size: number) => Array.from({ length: size }, () => random.below(policy.config.vocabSize));
const half = length / 2;
const pairs = Array.from({ length: count }, () => ({
  promptIds: ids(half),
  chosenIds: ids(half),
  rejectedIds: ids(half),
}));
const start = performance.now();
await trainDpo(
  policy,
  pairs,
  { max_steps: 1, per_device_train_batch_size: count },
  {
    onMetrics: ({ loss, grad_norm }) =>
      console.log(`loss ${loss.toFixed(4)}, grad_norm ${grad_norm.toFixed(4)}`),
  },
);
const seconds = ((performance.now() - start) / 1000).toFixed(1);
const { live, peak } = engine.memory();
console.log(
  `a step of ${count} pair(s) at length ${length}, reference log-probs included: ${seconds} s; ` +
    `the engine holds ${mebibytes(live)} live, ${mebibytes(peak)} at most; ` +
    `the process took ${mebibytes(process.resourceUsage().maxRSS * 1024)} at most`,
);
engine.destroy();

/**
 * What the host does for a GPU, by calls of WebGPU and in time, for a decoded token and for a step of LoRA-DPO: all layers and
 * kernels of SmolLM2-135M, but so narrow that the device has little to do.
 *
 *     node bench/recording.ts
 *     deno run -A bench/recording.ts
 *
 * Time is the host's alone, the least of ten runs once every shape has come by.
 */
import { createWebGpuEngine } from '../src/engine/webgpu/engine.ts';
import { requestDevice } from '../src/host/gpu.ts';
import { parseLlamaConfig } from '../src/model/config.ts';
import { Decoder } from '../src/model/decoder.ts';
import { addAdapter } from '../src/model/policy.ts';
import { dpoGradients, dpoWidth } from '../src/train/dpo.ts';
import { Optimizer } from '../src/train/optimizer.ts';
import { aligned } from '../src/train/recorder.ts';
import { adapterTrainable, zeroGradients } from '../src/train/trainable.ts';
import { DPO_DEFAULTS } from '../src/train/trainer.ts';
import { randomPolicy, SHAPES } from './random_policy.ts';

const RUNS = 10;
const NARROW = { ...SHAPES['SmolLM2-135M'], hidden_size: 72, intermediate_size: 192 };

const { device, info } = await requestDevice();
const calls = new Map<string, number>();
const COUNTED: readonly [prototype: object, method: string, name: string][] = [
  [GPUComputePassEncoder.prototype, 'dispatchWorkgroups', 'dispatches'],
  [GPUCommandEncoder.prototype, 'beginComputePass', 'compute passes'],
  [GPUCommandEncoder.prototype, 'copyBufferToBuffer', 'copies'],
  [GPUCommandEncoder.prototype, 'clearBuffer', 'clears'],
  [GPUQueue.prototype, 'submit', 'submissions'],
  [GPUQueue.prototype, 'writeBuffer', 'writes'],
  [GPUDevice.prototype, 'createBindGroup', 'bind groups made'],
  [GPUDevice.prototype, 'createBuffer', 'buffers made'],
  [GPUBuffer.prototype, 'mapAsync', 'reads'],
];

/** Counts from here on. Wrapped calls are slower, so that times are taken before. */
function count(): void {
  for (const [prototype, method, name] of COUNTED) {
    const own = Reflect.get(prototype, method) as (...given: unknown[]) => unknown;
    Object.defineProperty(prototype, method, {
      value(...given: unknown[]) {
        calls.set(name, (calls.get(name) ?? 0) + 1);
        return own.apply(this, given);
      },
    });
  }
}

/** Milliseconds of the host; the device has finished what came before. */
async function time(work: () => void): Promise<number> {
  await device.queue.onSubmittedWorkDone();
  const start = performance.now();
  work();
  return performance.now() - start;
}

async function least(work: () => void): Promise<number> {
  let best = Infinity;
  for (let run = 0; run < RUNS; run++) best = Math.min(best, await time(work));
  return best;
}

// The kernels are those of a GPU, whatever the driver.
const gpu = { ...info, vendor: '', device: '', description: 'a GPU' };
const engine = createWebGpuEngine(device, gpu);
const policy = await randomPolicy(engine, parseLlamaConfig(NARROW, 'narrow'));
const options = { temperature: 1, topK: 0, topP: 1, key: [1, 2] as const, repetitionPenalty: 1, eosIds: [] };
const ids = (length: number) => Array.from({ length }, (_, i) => i + 1);
const rows = [0, 1, 2, 3].map((row) => ({ ids: ids(8), stream: [row, 0] as const }));
const decoding = () => new Decoder(policy, rows, { ...options, maxNewTokens: 2 * RUNS + 2 });
const warm = decoding();
for (let step = 0; step < 2 * RUNS + 2; step++) warm.step();
await warm.read();
const decoder = decoding();
decoder.step();

addAdapter(policy, { r: 8, lora_alpha: 16, target_modules: ['all-linear'] }, 0);
const trainable = adapterTrainable(policy.adapter!);
const optimizer = new Optimizer(engine, trainable, DPO_DEFAULTS);
const pairs = [0, 1].map((i) => ({ promptIds: ids(4), chosenIds: [9 + i, 2], rejectedIds: [7 + i, 3] }));
const reference = { chosen: new Float32Array(2), rejected: new Float32Array(2) };
const results = engine.tensor([aligned(dpoWidth(2))]);
const squares = engine.tensor([1]);
const train = () => {
  zeroGradients(engine, trainable);
  const out = (offset: number, shape: readonly number[]) => engine.view(results, offset, shape);
  dpoGradients(policy, pairs, reference, DPO_DEFAULTS, 1, out, trainable.pass);
  optimizer.update(1, 1e-4, squares);
  engine.flush();
};
train();
const milliseconds = [await least(() => decoder.step()), await least(train)];

count();
const tables: Map<string, number>[] = [];
for (const work of [() => decoder.step(), train]) {
  calls.clear();
  work();
  tables.push(new Map(calls));
}
const host = 'Deno' in globalThis ? 'Deno' : `Node ${process.version}`;
console.log(
  `${host}, ${info.description}\n\n${''.padEnd(20)}${'token'.padStart(10)}${'DPO step'.padStart(10)}`,
);
const line = (name: string, values: readonly (string | number)[]) =>
  console.log(name.padEnd(20) + values.map((value) => String(value).padStart(10)).join(''));
for (const [, , name] of COUNTED)
  line(
    name,
    tables.map((table) => table.get(name) ?? 0),
  );
line(
  'ms',
  milliseconds.map((value) => value.toFixed(2)),
);
const dispatches = tables.map((table) => table.get('dispatches')!);
line(
  'µs a dispatch',
  milliseconds.map((value, i) => ((1000 * value) / dispatches[i]).toFixed(2)),
);
engine.destroy();

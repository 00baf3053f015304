/**
 * The WebGPU engine by itself: matmul in GFLOP/s, each operation at the shapes of a small policy, and the cost of
 * recording a dispatch.
 *
 *     node bench/engine.ts [sequences] [length] [hidden] [intermediate] [heads] [kv_heads] [vocab]
 *
 * Without arguments the shapes are those of a DPO step of 16 pairs on ../shared/models/stories260K. Each figure is the
 * best of five runs.
 */
import type { Engine, Tensor } from '../src/engine/engine.ts';
import { createWebGpuEngine } from '../src/engine/webgpu/engine.ts';
import { requestDevice } from '../src/host/gpu.ts';
import { Random } from '../src/random.ts';

const defaults = [32, 76, 64, 172, 8, 4, 512];
const given = process.argv.slice(2).map(Number);
const [b, t, hidden, intermediate, heads, kvHeads, vocab] = defaults.map((value, i) => given[i] ?? value);
const n = b * t;
const headDim = hidden / heads;
const RANK = 8;
const RUNS = 5;

const { device, info } = await requestDevice();
const engine: Engine = createWebGpuEngine(device, info);
const random = new Random([1, 1]);

const sizeOf = (shape: number[]) => shape.reduce((x, y) => x * y, 1);
const floats = (...shape: number[]) =>
  engine.upload(
    Float32Array.from({ length: sizeOf(shape) }, () => random.uniform() - 0.5),
    shape,
  );
const integers = (below: number, ...shape: number[]) =>
  engine.upload(
    Uint32Array.from({ length: sizeOf(shape) }, () => random.below(below)),
    shape,
  );

/** Milliseconds of one `act`, `repeat` of them at a time, the device's work included. */
async function time(act: () => void, repeat = 4): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run <= RUNS; run++) {
    const start = performance.now();
    for (let i = 0; i < repeat; i++) act();
    engine.flush();
    await device.queue.onSubmittedWorkDone();
    // The first run compiles.
    if (run > 0) best = Math.min(best, (performance.now() - start) / repeat);
  }
  return best;
}

function line(name: string, milliseconds: number, note = ''): void {
  console.log(`${name.padEnd(44)}${milliseconds.toFixed(3).padStart(10)} ms  ${note}`);
}

async function matmul(label: string, m: number, columns: number, k: number, form: 'NT' | 'NN' | 'TN') {
  const transposeA = form[0] === 'T';
  const transposeB = form[1] === 'T';
  const left = transposeA ? floats(k, m) : floats(m, k);
  const right = transposeB ? floats(columns, k) : floats(k, columns);
  const out = engine.tensor([m, columns]);
  const ms = await time(() => engine.matmul(out, left, right, { transposeA, transposeB }));
  line(
    `matmul ${form} ${m}×${k}×${columns} ${label}`,
    ms,
    `${((2e-6 * m * columns * k) / ms).toFixed(2)} GFLOP/s`,
  );
  engine.free(left, right, out);
}

console.log(`${info.description} (${info.vendor}); b ${b}, t ${t}, hidden ${hidden}, vocab ${vocab}`);

const small = floats(64);
const sum = engine.tensor([64]);
const count = 2000;
let recording = Number.POSITIVE_INFINITY;
let total = Number.POSITIVE_INFINITY;
for (let run = 0; run < RUNS; run++) {
  const start = performance.now();
  for (let i = 0; i < count; i++) engine.add(sum, small);
  engine.flush();
  recording = Math.min(recording, performance.now() - start);
  await device.queue.onSubmittedWorkDone();
  total = Math.min(total, performance.now() - start);
}
line('recording a dispatch', recording / count);
line('a dispatch of 64 elements, done', total / count);
const one = engine.tensor([1]);
let trip = Number.POSITIVE_INFINITY;
for (let run = 0; run < RUNS; run++) {
  const start = performance.now();
  await engine.read(one);
  trip = Math.min(trip, performance.now() - start);
}
line('reading one number', trip);

for (const rows of [n, 128]) {
  await matmul('q, o', rows, hidden, hidden, 'NT');
  await matmul('k, v', rows, kvHeads * headDim, hidden, 'NT');
  await matmul('gate, up', rows, intermediate, hidden, 'NT');
  await matmul('down', rows, hidden, intermediate, 'NT');
  await matmul('head', rows, vocab, hidden, 'NT');
}
await matmul('backward of down', n, intermediate, hidden, 'NN');
await matmul('backward of gate, up', n, hidden, intermediate, 'NN');
await matmul('backward of head', n, hidden, vocab, 'NN');
await matmul('LoRA x·Aᵀ', n, RANK, hidden, 'NT');
await matmul('LoRA low·Bᵀ', n, hidden, RANK, 'NT');
await matmul('LoRA dout·B', n, RANK, hidden, 'NN');
await matmul('LoRA dlow·A', n, hidden, RANK, 'NN');
await matmul('LoRA gradient of A', RANK, hidden, n, 'TN');
await matmul('LoRA gradient of B', intermediate, RANK, n, 'TN');

const x = floats(n, hidden);
const y = engine.tensor([n, hidden]);
const weight = floats(hidden);
line('rmsnorm', await time(() => engine.rmsnorm(y, x, weight, 1e-5)));
line('rmsnormBackward', await time(() => engine.rmsnormBackward(y, x, x, weight, 1e-5)));
const wide = [0, 1, 2, 3, 4].map(() => floats(n, intermediate));
line('swiglu', await time(() => engine.swiglu(wide[0], wide[1], wide[2])));
line('swigluBackward', await time(() => engine.swigluBackward(wide[0], wide[1], wide[2], wide[3], wide[4])));
line('add', await time(() => engine.add(y, x)));
line('copy', await time(() => engine.copy(y, x)));

const ids = integers(vocab, n);
const table = floats(vocab, hidden);
line('embedding', await time(() => engine.embedding(y, ids, table)));
const positions = integers(t, n);
const [cos, sin] = [floats(t, headDim / 2), floats(t, headDim / 2)];
const rotated = floats(n, heads, headDim);
line('rope', await time(() => engine.rope(rotated, cos, sin, positions)));
const query = () => floats(b, t, heads, headDim);
const key = () => floats(b, t, kvHeads, headDim);
const [q, k, v, out, dout, dq, dk, dv] = [query(), key(), key(), query(), query(), query(), key(), key()];
const lse = engine.tensor([b, heads, t]);
line('attention', await time(() => engine.attention(out, lse, q, k, v, 0.3)));
const gradients = () => engine.attentionBackward(dq, dk, dv, dout, q, k, v, out, lse, 0.3);
line('attentionBackward', await time(gradients));
const cacheRows = 128;
const caches: Tensor[] = [floats(cacheRows, t, kvHeads, headDim), floats(cacheRows, t, kvHeads, headDim)];
const lengths = engine.upload(new Uint32Array(cacheRows).fill(t), [cacheRows]);
const start = engine.upload(new Uint32Array(cacheRows).fill(t - 1), [cacheRows]);
const step = floats(cacheRows, heads, headDim);
const stepOut = floats(cacheRows, heads, headDim);
const stepKey = floats(cacheRows, 1, kvHeads, headDim);
const attendCached = () => engine.attentionCached(stepOut, step, caches[0], caches[1], lengths, 0.3);
line('attentionCached, 128 rows', await time(attendCached));
line('cacheWrite, 128 rows', await time(() => engine.cacheWrite(caches[0], stepKey, start)));

const [x128, y128] = [floats(cacheRows, hidden), engine.tensor([cacheRows, hidden])];
line('rmsnorm, 128 rows', await time(() => engine.rmsnorm(y128, x128, weight, 1e-5)));
const stepLogits = floats(cacheRows, vocab);
const [streams, next] = [integers(99, cacheRows, 2), engine.tensor([cacheRows], 'u32')];
const drawnLogps = engine.tensor([cacheRows]);
for (const [topK, topP] of [
  [0, 1],
  [50, 1],
  [0, 0.9],
]) {
  const options = { temperature: 1, topK, topP, key: [1, 2] as const };
  const draw = () => engine.sample(next, drawnLogps, stepLogits, streams, lengths, options);
  line(`sample, 128 rows, top-k ${topK}, top-p ${topP}`, await time(draw));
}

const logits = floats(n, vocab);
const [logps, sums, dlogps] = [engine.tensor([n]), engine.tensor([n]), floats(n)];
line('tokenLogps', await time(() => engine.tokenLogps(logps, sums, logits, ids)));
line('tokenLogpsBackward', await time(() => engine.tokenLogpsBackward(logits, dlogps, sums, ids)));
const parameters = [0, 1, 2, 3].map(() => floats(100_000));
line('sumSquares, 100 000', await time(() => engine.sumSquares(one, parameters[0])));
const optimizer = {
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  biasCorrection1: 0.1,
  biasCorrection2: 0.001,
  maxGradNorm: 1,
};
const [param, grad, mean, variance] = parameters;
line('adamw, 100 000', await time(() => engine.adamw(param, grad, mean, variance, one, optimizer)));
engine.destroy();

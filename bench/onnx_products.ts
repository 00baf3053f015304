/**
 * The seven products of a block of SmolLM2-135M with 256 tokens, forward, on one thread: the CPU engine beside
 * onnxruntime-web's wasm provider.
 *
 *     node bench/onnx_products.ts
 */
import { env, InferenceSession, Tensor } from 'onnxruntime-web/wasm';
import { createCpuEngine } from '../src/engine/cpu/engine.ts';

const TOKENS = 256;
/** [inputs, outputs] of q, k, v, o, gate, up, down. */
const LAYERS = [
  [576, 576],
  [576, 192],
  [576, 192],
  [576, 576],
  [576, 1536],
  [576, 1536],
  [1536, 576],
] as const;
const ROUNDS = 30;

/** A protobuf field: a whole number, or bytes with their length before them. */
function field(number: number, value: number | string | Uint8Array | Uint8Array[]): Uint8Array {
  if (typeof value === 'number') return join([varint(number << 3), varint(value)]);
  const bytes =
    typeof value === 'string' ? new TextEncoder().encode(value) : Array.isArray(value) ? join(value) : value;
  return join([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

function varint(value: number): Uint8Array {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Uint8Array.of(...bytes, value);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const FLOAT = 1;

function valueInfo(name: string, shape: readonly number[]): Uint8Array[] {
  const dims = shape.map((size) => field(1, [field(1, size)]));
  return [field(1, name), field(2, [field(1, [field(1, FLOAT), field(2, dims)])])];
}

/** An ONNX model: y_i = x_i · w_i for each layer. */
function model(weights: readonly Float32Array[]): Uint8Array {
  const graph = LAYERS.flatMap(([inputs, outputs], i) => [
    field(1, [field(1, `x${i}`), field(1, `w${i}`), field(2, `y${i}`), field(4, 'MatMul')]),
    field(5, [
      field(1, inputs),
      field(1, outputs),
      field(2, FLOAT),
      field(8, `w${i}`),
      field(9, new Uint8Array(weights[i].buffer)),
    ]),
    field(11, valueInfo(`x${i}`, [TOKENS, inputs])),
    field(12, valueInfo(`y${i}`, [TOKENS, outputs])),
  ]);
  return join([field(1, 8), field(7, [field(2, 'products'), ...graph]), field(8, [field(2, 13)])]);
}

function values(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => ((i * 7919) % 1009) / 1009 - 0.5);
}

env.wasm.numThreads = 1;
const given = LAYERS.map(([inputs]) => values(TOKENS * inputs));
/** `[in, out]`, as ONNX multiplies. */
const weights = LAYERS.map(([inputs, outputs]) => values(inputs * outputs));
const session = await InferenceSession.create(model(weights), { executionProviders: ['wasm'] });
const feeds = Object.fromEntries(
  LAYERS.map(([inputs], i) => [`x${i}`, new Tensor('float32', given[i], [TOKENS, inputs])]),
);

const engine = await createCpuEngine();
const x = LAYERS.map(([inputs], i) => engine.upload(given[i], [TOKENS, inputs]));
const w = LAYERS.map(([inputs, outputs], i) => {
  const transposed = new Float32Array(inputs * outputs);
  for (let row = 0; row < inputs; row++) {
    for (let column = 0; column < outputs; column++) {
      transposed[column * inputs + row] = weights[i][row * outputs + column];
    }
  }
  return engine.upload(transposed, [outputs, inputs]);
});
const y = LAYERS.map(([, outputs]) => engine.tensor([TOKENS, outputs]));

let [ours, theirs] = [Infinity, Infinity];
for (let round = 0; round < ROUNDS; round++) {
  let start = performance.now();
  const results = await session.run(feeds);
  theirs = Math.min(theirs, performance.now() - start);
  start = performance.now();
  for (let i = 0; i < LAYERS.length; i++) engine.matmul(y[i], x[i], w[i], { transposeB: true });
  ours = Math.min(ours, performance.now() - start);
  if (round > 0) continue;
  const [mine, other] = [await engine.read(y[6]), results.y6.data as Float32Array];
  const worst = mine.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i])), 0);
  console.log(`largest difference of a result: ${worst.toExponential(1)}`);
}
const work = LAYERS.reduce((sum, [inputs, outputs]) => sum + 2 * TOKENS * inputs * outputs, 0);
for (const [name, time] of [
  ['CPU engine', ours],
  ['onnxruntime-web', theirs],
] as const) {
  console.log(`${name.padEnd(16)} ${time.toFixed(1)} ms, ${(work / time / 1e6).toFixed(1)} GFLOP/s`);
}
engine.destroy();
await session.release();

/**
 * Formats of frozen weights: the time of products with them beside those with f32, in turns, and how far they move the
 * logits of stories260K.
 *
 *     node bench/formats.ts [--device cpu|webgpu] [--threads n]
 */
import { parseArgs } from 'node:util';
import type { Tensor } from '../src/engine/engine.ts';
import { quantize } from '../src/engine/quantize.ts';
import { type DeviceChoice, openEngine } from '../src/host/device.ts';
import { DiskFolder } from '../src/host/disk.ts';
import type { Dtype } from '../src/model/dtype.ts';
import { forward, tokenBatch } from '../src/model/llama.ts';
import { loadPolicy } from '../src/model/policy.ts';
import { Random } from '../src/random.ts';

const { values: given } = parseArgs({
  options: { device: { type: 'string', default: 'cpu' }, threads: { type: 'string', default: '1' } },
});
const engine = await openEngine(given.device as DeviceChoice, { threads: Number(given.threads) });
console.log(`${engine.info.description}, ${given.threads} thread(s) where it has a choice`);

const FORMATS = ['f32', 'f16', 'bf16', 'nf4'] as const;
const ROUNDS = 9;
/** [what, rows, W's rows, W's columns, whether W is transposed] of SmolLM2-135M's gate. */
const PRODUCTS = [
  ['forward, 256 rows', 256, 1536, 576, true],
  ['gradient of the input, 256 rows', 256, 1536, 576, false],
  ['forward, 16 rows', 16, 1536, 576, true],
  ['forward, 1 row', 1, 1536, 576, true],
] as const;

const random = new Random([7, 8]);
const values = Float32Array.from({ length: 1536 * 576 }, () => 0.08 * (random.uniform() - 0.5));
for (const [what, rows, out, width, transposeB] of PRODUCTS) {
  const weights = FORMATS.map((format) =>
    format === 'f32'
      ? engine.upload(values, [out, width])
      : engine.uploadWeights(quantize(values, format), [out, width], format),
  );
  const x = engine.upload(new Float32Array(rows * (transposeB ? width : out)).fill(0.5), [
    rows,
    transposeB ? width : out,
  ]);
  const y = engine.tensor([rows, transposeB ? out : width]);
  const one = engine.view(y, 0, [1]);
  const times = FORMATS.map(() => Infinity);
  const repeats = Math.max(1, Math.round(128 / rows));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, weight] of weights.entries()) {
      const start = performance.now();
      for (let repeat = 0; repeat < repeats; repeat++) engine.matmul(y, x, weight, { transposeB });
      await engine.read(one);
      times[i] = Math.min(times[i], (performance.now() - start) / repeats);
    }
  }
  const cells = FORMATS.map(
    (format, i) => `${format} ${times[i].toFixed(2)} ms ×${(times[i] / times[0]).toFixed(2)}`,
  );
  console.log(`${what.padEnd(34)} ${cells.join('   ')}`);
  engine.free(...weights, x, y);
}

const folder = new DiskFolder(new URL('../../shared/models/stories260K', import.meta.url).pathname);
const TEXT = 'Once upon a time, there was a little girl named Lily. She loved to play outside in the park.';

async function logitsOf(dtype: Dtype): Promise<{ logits: Float32Array; vocab: number }> {
  const policy = await loadPolicy(engine, folder, { dtype });
  const ids = policy.tokenizer.encode(TEXT);
  const hidden: Tensor = forward(policy, tokenBatch(policy, [ids]));
  const logits = engine.tensor([ids.length, policy.config.vocabSize]);
  engine.matmul(logits, hidden, policy.weights.head, { transposeB: true });
  return { logits: await engine.read(logits), vocab: policy.config.vocabSize };
}

/** KL(exact ‖ given) of the next token, averaged over positions, in nats. */
function divergence(exact: Float32Array, other: Float32Array, vocab: number): number {
  const logps = (row: Float32Array) => {
    const most = row.reduce((a, b) => Math.max(a, b));
    const lse = most + Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0));
    return row.map((value) => value - lse);
  };
  let sum = 0;
  for (let at = 0; at < exact.length; at += vocab) {
    const [p, q] = [exact, other].map((all) => logps(all.subarray(at, at + vocab)));
    p.forEach((value, i) => {
      sum += Math.exp(value) * (value - q[i]);
    });
  }
  return sum / (exact.length / vocab);
}

const { logits: exact, vocab } = await logitsOf('float32');
for (const dtype of ['float16', 'bfloat16', 'nf4'] as const) {
  const { logits } = await logitsOf(dtype);
  const errors = logits.map((value, i) => Math.abs(value - exact[i]));
  const mean = errors.reduce((sum, value) => sum + value, 0) / errors.length;
  const most = errors.reduce((a, b) => Math.max(a, b));
  console.log(
    `stories260K in ${dtype.padEnd(8)} logits off by ${mean.toExponential(1)} on average, ${most.toExponential(1)} at most; ` +
      `KL of the next token ${divergence(exact, logits, vocab).toExponential(1)}`,
  );
}
engine.destroy();

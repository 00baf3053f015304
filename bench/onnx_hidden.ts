/**
 * Tokens a second of a model's forward pass on onnxruntime-web, up to the hidden states, of which a score is read, as onnx
 * files of this project's scored models do it: on its wasm provider, one thread, or its webgpu provider.
 *
 *     node bench/onnx_hidden.ts [--provider wasm|webgpu] [--model folder | --shape name | --layers n] [--rows n]
 *                               [--prompt-tokens n]
 *
 * Prints {"engine", "rates"} as one line of JSON: bench/engines.ts compares it with the engines' "hidden". In that graph
 * every head has its own weights of keys and values: `extra` is by how much that makes the products larger.
 */
import { parseArgs } from 'node:util';
import { DiskFolder } from '../src/host/disk.ts';
import { requestDevice } from '../src/host/gpu.ts';
import { classifierOnnx, type ReadWeight } from '../src/model/classifier_onnx.ts';
import { type LlamaConfig, loadLlamaConfig } from '../src/model/config.ts';
import { openWeightFiles } from '../src/model/weight_files.ts';
import { LINEAR_NAMES, linearShape } from '../src/model/weights.ts';
import { Random } from '../src/random.ts';
import { type ClassifierSession, openClassifier } from '../src/score/session.ts';
import { loadWasm } from '../src/wasm.ts';
import { randomWeight, randomWeights, shapeConfig } from './random_policy.ts';

const { values: given } = parseArgs({
  options: {
    model: { type: 'string', default: new URL('../../shared/models/stories260K', import.meta.url).pathname },
    provider: { type: 'string', default: 'wasm' },
    shape: { type: 'string' },
    layers: { type: 'string' },
    rows: { type: 'string', default: '128' },
    'prompt-tokens': { type: 'string', default: '12' },
  },
});
const rows = Number(given.rows);
const length = Number(given['prompt-tokens']);

async function open(): Promise<{ config: LlamaConfig; read: ReadWeight }> {
  const layers = given.layers === undefined ? undefined : Number(given.layers);
  const shape = given.shape ?? (layers && 'SmolLM2-135M');
  if (shape) {
    const config = shapeConfig(shape, layers);
    return { config, read: async (name) => randomWeight(config, name) };
  }
  const folder = new DiskFolder(given.model);
  const config = await loadLlamaConfig(folder);
  const files = await openWeightFiles(folder);
  return {
    config,
    read: async (name) =>
      name === 'score.weight' ? randomWeights(config.hiddenSize) : (await files.read(name)).f32(),
  };
}

/** On the adapter that the engine would take; in Node it needs a WebGPU that the host layer brings in. */
async function openOnGpu(model: Uint8Array): Promise<ClassifierSession> {
  (await requestDevice()).device.destroy();
  const ort = await import('onnxruntime-web/webgpu');
  ort.env.logLevel = 'error';
  const session = await ort.InferenceSession.create(model, { executionProviders: ['webgpu'] });
  return {
    async run(rows, length) {
      const shape = [rows.length, length];
      const ids = BigInt64Array.from(rows.flat(), BigInt);
      const mask = new BigInt64Array(ids.length).fill(1n);
      const { logits } = await session.run({
        input_ids: new ort.Tensor('int64', ids, shape),
        attention_mask: new ort.Tensor('int64', mask, shape),
      });
      return [Array.from((await logits.getData()) as Float32Array)];
    },
    release: () => session.release(),
  };
}

const { config, read } = await open();
const model = await classifierOnnx(config, read, length, await loadWasm());
const session = given.provider === 'webgpu' ? await openOnGpu(model) : await openClassifier(model, 'model');
const random = new Random([1, 2]);
const ids = Array.from({ length: rows }, () => Array.from({ length }, () => random.below(config.vocabSize)));
let best = Infinity;
const began = performance.now();
for (let run = 0; run < 3 && performance.now() - began < 10_000; run++) {
  const start = performance.now();
  await session.run(ids, length, 0);
  best = Math.min(best, (performance.now() - start) / 1000);
}
await session.release();

const values = (name: (typeof LINEAR_NAMES)[number]) => linearShape(config, name).reduce((a, b) => a * b);
const products = LINEAR_NAMES.reduce((sum, name) => sum + values(name), 0);
const copies = (config.heads / config.keyValueHeads - 1) * (values('k_proj') + values('v_proj'));
console.log(
  JSON.stringify({
    engine: `onnxruntime-web, ${given.provider}`,
    rates: { hidden: (rows * length) / best },
    extra: copies / products,
  }),
);

/**
 * Tokens a second of a model's forward pass on onnxruntime-web's wasm provider, one thread, up to the hidden states, of
 * which a score is read, as onnx files of this project's scored models do it.
 *
 *     node bench/onnx_hidden.ts [--model folder | --layers n] [--rows n] [--prompt-tokens n]
 *
 * Prints {"engine", "rates"} as one line of JSON: bench/engines.ts compares it with the engines' "hidden". In that graph
 * every head has its own weights of keys and values: `extra` is by how much that makes the products larger.
 */
import { parseArgs } from 'node:util';
import { DiskFolder } from '../src/host/disk.ts';
import { classifierOnnx, type ReadWeight } from '../src/model/classifier_onnx.ts';
import { type LlamaConfig, loadLlamaConfig, parseLlamaConfig } from '../src/model/config.ts';
import { openWeightFiles } from '../src/model/weight_files.ts';
import { LINEAR_NAMES, linearShape } from '../src/model/weights.ts';
import { Random } from '../src/random.ts';
import { openClassifier } from '../src/score/session.ts';
import { loadWasm } from '../src/wasm.ts';
import { randomWeights, SMOLLM2 } from './random_policy.ts';

const { values: given } = parseArgs({
  options: {
    model: { type: 'string', default: new URL('../../shared/models/stories260K', import.meta.url).pathname },
    layers: { type: 'string' },
    rows: { type: 'string', default: '128' },
    'prompt-tokens': { type: 'string', default: '12' },
  },
});
const rows = Number(given.rows);
const length = Number(given['prompt-tokens']);

async function open(): Promise<{ config: LlamaConfig; read: ReadWeight }> {
  if (given.layers) {
    const config = parseLlamaConfig({ ...SMOLLM2, num_hidden_layers: Number(given.layers) }, 'SmolLM2');
    return { config, read: async (name) => randomWeights(sizeOf(config, name)) };
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

function sizeOf(config: LlamaConfig, name: string): number {
  if (name === 'model.embed_tokens.weight') return config.vocabSize * config.hiddenSize;
  const linear = LINEAR_NAMES.find((each) => name.endsWith(`${each}.weight`));
  if (!linear) return config.hiddenSize;
  const [outputs, inputs] = linearShape(config, linear);
  return outputs * inputs;
}

const { config, read } = await open();
const session = await openClassifier(await classifierOnnx(config, read, length, await loadWasm()), 'model');
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
    engine: 'onnxruntime-web, wasm',
    rates: { hidden: (rows * length) / best },
    extra: copies / products,
  }),
);

import type { Engine } from '../src/engine/engine.ts';
import { quantize } from '../src/engine/quantize.ts';
import { type LlamaConfig, parseLlamaConfig } from '../src/model/config.ts';
import { type Dtype, formatOf } from '../src/model/dtype.ts';
import type { Policy } from '../src/model/policy.ts';
import { ropeTables } from '../src/model/rope.ts';
import { Tokenizer } from '../src/model/tokenizer.ts';
import { LINEAR_NAMES, type LinearName, linearShape } from '../src/model/weights.ts';
import { Workspace } from '../src/model/workspace.ts';
import { Random } from '../src/random.ts';
import { loadWasm } from '../src/wasm.ts';

/** config.json of SmolLM2-135M. */
export const SMOLLM2 = {
  model_type: 'llama',
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  vocab_size: 49152,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 100000,
  hidden_act: 'silu',
  tie_word_embeddings: true,
};
const LENGTH = 512;
const ONE_WORD = {
  version: '1.0',
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: 'WhitespaceSplit' },
  post_processor: null,
  decoder: { type: 'Fuse' },
  model: { type: 'WordLevel', vocab: { word: 0 }, unk_token: 'word' },
};

const random = new Random([5, 6]);
const values = Float32Array.from({ length: 65_521 }, () => 0.08 * (random.uniform() - 0.5));

/** `length` random weights. */
export function randomWeights(length: number): Float32Array<ArrayBuffer> {
  const data = new Float32Array(length);
  for (let at = 0; at < length; at += values.length) data.set(values.subarray(0, length - at), at);
  return data;
}

/** A policy of that shape with random weights, to be given token ids: its tokenizer knows one word. */
export async function randomPolicy(
  engine: Engine,
  layers: number,
  dtype: Dtype = 'float32',
): Promise<Policy> {
  const config: LlamaConfig = parseLlamaConfig({ ...SMOLLM2, num_hidden_layers: layers }, 'SmolLM2');
  const draw = (linear: boolean, ...shape: number[]) => {
    const data = randomWeights(shape.reduce((product, size) => product * size, 1));
    const format = formatOf(dtype, linear, { dtype: 'F32', shape });
    if (format === 'f32') return engine.upload(data, shape);
    return engine.uploadWeights(quantize(data, format), shape, format);
  };
  const ones = () => engine.upload(new Float32Array(config.hiddenSize).fill(1), [config.hiddenSize]);
  const embedding = draw(false, config.vocabSize, config.hiddenSize);
  const blocks = Array.from({ length: layers }, () => ({
    inputNorm: ones(),
    postAttentionNorm: ones(),
    biases: {},
    linears: Object.fromEntries(
      LINEAR_NAMES.map((name) => [name, draw(true, ...linearShape(config, name))]),
    ) as Record<LinearName, ReturnType<typeof draw>>,
  }));
  return {
    name: `SmolLM2 shape, ${layers} of 30 layers, ${dtype}`,
    engine,
    config,
    weights: { embedding, blocks, norm: ones(), head: embedding },
    rope: ropeTables(engine, config, LENGTH, await loadWasm()),
    workspace: new Workspace(engine),
    tokenizer: new Tokenizer(ONE_WORD, {}),
    chatTemplate: undefined,
    eosIds: [],
    endId: undefined,
    maxLength: LENGTH,
    adapter: undefined,
  };
}

import type { Engine } from '../src/engine/engine.ts';
import { quantize } from '../src/engine/quantize.ts';
import { type LlamaConfig, parseLlamaConfig } from '../src/model/config.ts';
import { type Dtype, formatOf } from '../src/model/dtype.ts';
import type { Policy } from '../src/model/policy.ts';
import { ropeTables } from '../src/model/rope.ts';
import { Tokenizer } from '../src/model/tokenizer.ts';
import { assembleWeights, isLinearWeight, weightShapes } from '../src/model/weights.ts';
import { Workspace } from '../src/model/workspace.ts';
import { Random } from '../src/random.ts';
import { loadWasm } from '../src/wasm.ts';

/** config.json of SmolLM2-135M. */
const SMOLLM2 = {
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

/** config.json of SmolLM2-360M. */
const SMOLLM2_360 = {
  ...SMOLLM2,
  hidden_size: 960,
  intermediate_size: 2560,
  num_hidden_layers: 32,
  num_attention_heads: 15,
  num_key_value_heads: 5,
};

/** config.json of Llama-3.2-1B. */
const LLAMA32 = {
  model_type: 'llama',
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 16,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  head_dim: 64,
  vocab_size: 128256,
  max_position_embeddings: 131072,
  rms_norm_eps: 1e-5,
  rope_theta: 500000,
  rope_scaling: {
    rope_type: 'llama3',
    factor: 32,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  },
  hidden_act: 'silu',
  tie_word_embeddings: true,
};

/** config.json of Qwen3-0.6B. */
const QWEN3 = {
  model_type: 'qwen3',
  hidden_size: 1024,
  intermediate_size: 3072,
  num_hidden_layers: 28,
  num_attention_heads: 16,
  num_key_value_heads: 8,
  head_dim: 128,
  vocab_size: 151936,
  max_position_embeddings: 40960,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000,
  hidden_act: 'silu',
  tie_word_embeddings: true,
};

/** config.json of Qwen2.5-0.5B. */
const QWEN25 = {
  model_type: 'qwen2',
  hidden_size: 896,
  intermediate_size: 4864,
  num_hidden_layers: 24,
  num_attention_heads: 14,
  num_key_value_heads: 2,
  vocab_size: 151936,
  max_position_embeddings: 32768,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000,
  hidden_act: 'silu',
  tie_word_embeddings: true,
};

/** Shapes by the names of their models; `tiny` has all parts and takes no time. */
export const SHAPES = {
  'SmolLM2-135M': SMOLLM2,
  'SmolLM2-360M': SMOLLM2_360,
  'Qwen2.5-0.5B': QWEN25,
  'Qwen3-0.6B': QWEN3,
  'Llama-3.2-1B': LLAMA32,
  tiny: { ...QWEN25, hidden_size: 56, intermediate_size: 64, num_hidden_layers: 2, vocab_size: 500 },
} as const;

export type ShapeName = keyof typeof SHAPES;

/** config.json of a shape, with all its layers or so many. */
export function shapeJson(name: string, layers?: number): Record<string, unknown> {
  if (!(name in SHAPES))
    throw new Error(`expected a shape of ${Object.keys(SHAPES).join(', ')}, got ${name}`);
  const shape = SHAPES[name as ShapeName];
  return { ...shape, num_hidden_layers: layers ?? shape.num_hidden_layers };
}

/** The configuration of a shape. */
export function shapeConfig(name: string, layers?: number): LlamaConfig {
  return parseLlamaConfig(shapeJson(name, layers), name);
}

/** Random values of the weight of that name in Hugging Face's files, or of a head with one score. */
export function randomWeight(config: LlamaConfig, name: string): Float32Array<ArrayBuffer> {
  const shape = weightShapes(config).get(name) ?? [config.hiddenSize];
  return randomWeights(shape.reduce((product, size) => product * size, 1));
}

const LENGTH = 512;
/** A tokenizer that knows one word. */
export const ONE_WORD = {
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

/** A policy of a shape with random weights, to be given token ids: its tokenizer knows one word. */
export async function randomPolicy(
  engine: Engine,
  config: LlamaConfig,
  dtype: Dtype = 'float32',
): Promise<Policy> {
  const shapes = weightShapes(config);
  const weights = await assembleWeights(config, async (key) => {
    const shape = shapes.get(key)!;
    if (key.endsWith('norm.weight')) return engine.upload(new Float32Array(shape[0]).fill(1), shape);
    const data = randomWeight(config, key);
    const format = formatOf(dtype, isLinearWeight(key), { dtype: 'F32', shape });
    if (format === 'f32') return engine.upload(data, shape);
    return engine.uploadWeights(quantize(data, format), shape, format);
  });
  return {
    name: `${config.layers} layers of ${config.hiddenSize}, ${dtype}`,
    engine,
    config,
    weights,
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

/** A small random-weight folder of each family, with the settings that set it apart. */
import { writeSafetensors } from '../../src/data/safetensors.ts';
import { keyOf, Random } from '../../src/random.ts';
import { MemoryFolder } from '../support/memory_folder.ts';
import type { Config } from './plain.ts';
import { type Tensors, tinyTokenizer } from './tiny.ts';

const shape = {
  hidden_size: 12,
  intermediate_size: 20,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 18,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-6,
  rope_theta: 1000,
  hidden_act: 'silu',
  head_dim: 8,
  tie_word_embeddings: false,
  eos_token_id: 2,
};

/** Config of each case; "llama" stands without biases and scaling in the golden tests. */
export const ARCHITECTURES: readonly [string, Config][] = [
  [
    'Llama 3: scaled rope, tied embeddings',
    {
      ...shape,
      model_type: 'llama',
      tie_word_embeddings: true,
      rope_scaling: {
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 64,
      },
    },
  ],
  [
    'Llama with biases everywhere and linear scaling, as transformers 5 writes it',
    {
      ...shape,
      model_type: 'llama',
      attention_bias: true,
      mlp_bias: true,
      rope_theta: undefined,
      rope_parameters: { rope_type: 'linear', factor: 4, rope_theta: 500 },
    },
  ],
  ['Mistral: sliding window', { ...shape, model_type: 'mistral', sliding_window: 3 }],
  [
    'Qwen2: biases, sliding window in the upper layer',
    {
      ...shape,
      model_type: 'qwen2',
      use_sliding_window: true,
      sliding_window: 2,
      max_window_layers: 1,
      tie_word_embeddings: true,
    },
  ],
  [
    'Qwen2 whose window is not in use',
    { ...shape, model_type: 'qwen2', use_sliding_window: false, sliding_window: 2, max_window_layers: 0 },
  ],
  [
    'Qwen3: norms of queries and keys, sliding window in the lower layer',
    {
      ...shape,
      model_type: 'qwen3',
      head_dim: 16,
      attention_bias: false,
      use_sliding_window: true,
      sliding_window: 4,
      layer_types: ['sliding_attention', 'full_attention'],
      num_key_value_heads: 1,
    },
  ],
  [
    'SmolLM3: a layer without rope, tied by default',
    { ...shape, model_type: 'smollm3', tie_word_embeddings: undefined, no_rope_layers: [1, 0] },
  ],
];

/** Weights of the shapes that a family's definition gives, drawn from a seed. */
export function randomWeights(config: Config): Tensors {
  const c = config as Record<string, number>;
  const random = new Random(keyOf(7, 'architectures'));
  const draw = () => random.uniform() + random.uniform() + random.uniform() - 1.5;
  const tensors: Tensors = new Map();
  const add = (key: string, size: number[], centre = 0) => {
    const length = size.reduce((product, each) => product * each, 1);
    tensors.set(key, {
      shape: size,
      data: Float32Array.from({ length }, () => centre + 0.6 * draw()),
    });
  };
  const queries = c.num_attention_heads * c.head_dim;
  const keys = c.num_key_value_heads * c.head_dim;
  const layer = (path: string, out: number, input: number, bias: boolean) => {
    add(`${path}.weight`, [out, input]);
    if (bias) add(`${path}.bias`, [out]);
  };
  add('model.embed_tokens.weight', [c.vocab_size, c.hidden_size]);
  for (let block = 0; block < c.num_hidden_layers; block++) {
    const path = `model.layers.${block}`;
    const all = config.attention_bias === true;
    const qwen2 = config.model_type === 'qwen2';
    add(`${path}.input_layernorm.weight`, [c.hidden_size], 1);
    add(`${path}.post_attention_layernorm.weight`, [c.hidden_size], 1);
    layer(`${path}.self_attn.q_proj`, queries, c.hidden_size, all || qwen2);
    layer(`${path}.self_attn.k_proj`, keys, c.hidden_size, all || qwen2);
    layer(`${path}.self_attn.v_proj`, keys, c.hidden_size, all || qwen2);
    layer(`${path}.self_attn.o_proj`, c.hidden_size, queries, all);
    if (config.model_type === 'qwen3') {
      add(`${path}.self_attn.q_norm.weight`, [c.head_dim], 1);
      add(`${path}.self_attn.k_norm.weight`, [c.head_dim], 1);
    }
    const mlp = config.mlp_bias === true;
    layer(`${path}.mlp.gate_proj`, c.intermediate_size, c.hidden_size, mlp);
    layer(`${path}.mlp.up_proj`, c.intermediate_size, c.hidden_size, mlp);
    layer(`${path}.mlp.down_proj`, c.hidden_size, c.intermediate_size, mlp);
  }
  add('model.norm.weight', [c.hidden_size], 1);
  if (!(config.tie_word_embeddings ?? config.model_type === 'smollm3')) {
    add('lm_head.weight', [c.vocab_size, c.hidden_size]);
  }
  return tensors;
}

/** The folder of a case. */
export async function architectureFolder(config: Config, weights: Tensors): Promise<MemoryFolder> {
  const folder = new MemoryFolder();
  await folder.write('config.json', JSON.stringify(config));
  await folder.write('tokenizer.json', JSON.stringify(tinyTokenizer));
  await folder.write('model.safetensors', writeSafetensors(weights));
  return folder;
}

import { describe, expect, it } from 'vitest';
import { parseLlamaConfig } from '../../src/model/config.ts';

const silu = { hidden_act: 'silu', initializer_range: 0.02, use_cache: true, torch_dtype: 'bfloat16' };

/** The settings in the published config.json of models that people run. */
const PUBLISHED: Record<string, Record<string, unknown>> = {
  'SmolLM2-135M-Instruct': {
    ...{ ...silu, architectures: ['LlamaForCausalLM'], attention_bias: false, attention_dropout: 0.0 },
    ...{ bos_token_id: 1, eos_token_id: 2, hidden_size: 576, intermediate_size: 1536, is_llama_config: true },
    ...{ max_position_embeddings: 8192, mlp_bias: false, model_type: 'llama', num_attention_heads: 9 },
    ...{
      num_hidden_layers: 30,
      num_key_value_heads: 3,
      pad_token_id: 2,
      pretraining_tp: 1,
      rms_norm_eps: 1e-5,
    },
    ...{ rope_interleaved: false, rope_scaling: null, rope_theta: 100000, tie_word_embeddings: true },
    ...{ 'transformers.js_config': { kv_cache_dtype: { q4f16: 'float16' } }, transformers_version: '4.42.3' },
    vocab_size: 49152,
  },
  'Qwen2.5-0.5B': {
    ...{ ...silu, architectures: ['Qwen2ForCausalLM'], attention_dropout: 0.0, bos_token_id: 151643 },
    ...{ eos_token_id: 151643, hidden_size: 896, intermediate_size: 4864, max_position_embeddings: 32768 },
    ...{ max_window_layers: 24, model_type: 'qwen2', num_attention_heads: 14, num_hidden_layers: 24 },
    ...{ num_key_value_heads: 2, rms_norm_eps: 1e-6, rope_theta: 1000000.0, sliding_window: 32768 },
    ...{ tie_word_embeddings: true, transformers_version: '4.40.1', use_mrope: false },
    ...{ use_sliding_window: false, vocab_size: 151936 },
  },
  'Qwen3-0.6B': {
    ...{ ...silu, architectures: ['Qwen3ForCausalLM'], attention_bias: false, attention_dropout: 0.0 },
    ...{
      bos_token_id: 151643,
      eos_token_id: 151645,
      head_dim: 128,
      hidden_size: 1024,
      intermediate_size: 3072,
    },
    ...{
      max_position_embeddings: 40960,
      max_window_layers: 28,
      model_type: 'qwen3',
      num_attention_heads: 16,
    },
    ...{ num_hidden_layers: 28, num_key_value_heads: 8, rms_norm_eps: 1e-6, rope_scaling: null },
    ...{
      rope_theta: 1000000,
      sliding_window: null,
      tie_word_embeddings: true,
      transformers_version: '4.51.0',
    },
    ...{ use_sliding_window: false, vocab_size: 151936 },
  },
  'Llama-3.2-1B': {
    ...{ ...silu, architectures: ['LlamaForCausalLM'], attention_bias: false, attention_dropout: 0.0 },
    ...{
      bos_token_id: 128000,
      eos_token_id: 128001,
      head_dim: 64,
      hidden_size: 2048,
      intermediate_size: 8192,
    },
    ...{ max_position_embeddings: 131072, mlp_bias: false, model_type: 'llama', num_attention_heads: 32 },
    ...{ num_hidden_layers: 16, num_key_value_heads: 8, pretraining_tp: 1, rms_norm_eps: 1e-5 },
    rope_scaling: {
      ...{ factor: 32.0, high_freq_factor: 4.0, low_freq_factor: 1.0 },
      ...{ original_max_position_embeddings: 8192, rope_type: 'llama3' },
    },
    ...{ rope_theta: 500000.0, tie_word_embeddings: true, transformers_version: '4.45.0.dev0' },
    vocab_size: 128256,
  },
  'Mistral-7B-v0.1': {
    ...{
      ...silu,
      architectures: ['MistralForCausalLM'],
      bos_token_id: 1,
      eos_token_id: 2,
      hidden_size: 4096,
    },
    ...{ intermediate_size: 14336, max_position_embeddings: 32768, model_type: 'mistral' },
    ...{ num_attention_heads: 32, num_hidden_layers: 32, num_key_value_heads: 8, rms_norm_eps: 1e-5 },
    ...{ rope_theta: 10000.0, sliding_window: 4096, tie_word_embeddings: false, vocab_size: 32000 },
    transformers_version: '4.34.0.dev0',
  },
  'SmolLM3-3B': {
    ...{ ...silu, architectures: ['SmolLM3ForCausalLM'], attention_bias: false, attention_dropout: 0.0 },
    ...{ eos_token_id: 128012, hidden_size: 2048, intermediate_size: 11008, max_position_embeddings: 65536 },
    ...{ layer_types: new Array(36).fill('full_attention'), max_window_layers: 28, mlp_bias: false },
    ...{ model_type: 'smollm3', no_rope_layer_interval: 4, num_attention_heads: 16, num_hidden_layers: 36 },
    no_rope_layers: Array.from({ length: 36 }, (_, layer) => Number(layer % 4 !== 3)),
    ...{ num_key_value_heads: 4, pad_token_id: 128004, pretraining_tp: 2, rms_norm_eps: 1e-6 },
    ...{ rope_scaling: null, rope_theta: 5000000.0, sliding_window: null, use_sliding_window: false },
    ...{ vocab_size: 128256, transformers_version: '4.54.0.dev0' },
  },
};

describe('published configurations', () => {
  const parse = (name: string) => parseLlamaConfig(PUBLISHED[name], name);
  const everywhere = (values: readonly number[]) => [...new Set(values)];

  it('of SmolLM2 and Llama 3.2 are understood', () => {
    expect(parse('SmolLM2-135M-Instruct')).toMatchObject({
      ...{ headDim: 64, keyValueHeads: 3, tieWordEmbeddings: true, queryKeyNorm: false },
      rope: { theta: 100000, scaling: undefined },
    });
    const { rope, rotary } = parse('Llama-3.2-1B');
    expect(rope.scaling).toEqual({
      ...{ type: 'llama3', factor: 32, lowFactor: 1, highFactor: 4, originalPositions: 8192 },
    });
    expect(rotary).not.toContain(false);
  });

  it('of Qwen2.5, Qwen3 and Mistral are understood', () => {
    const qwen2 = parse('Qwen2.5-0.5B');
    expect([...qwen2.biases]).toEqual(['q_proj', 'k_proj', 'v_proj']);
    expect(everywhere(qwen2.windows)).toEqual([Infinity]);
    const qwen3 = parse('Qwen3-0.6B');
    expect(qwen3).toMatchObject({ headDim: 128, heads: 16, hiddenSize: 1024, queryKeyNorm: true });
    expect(qwen3.biases.size).toBe(0);
    expect(everywhere(parse('Mistral-7B-v0.1').windows)).toEqual([4096]);
  });

  it('of SmolLM3 has a layer in four without positions, and tied embeddings by default', () => {
    const { rotary, tieWordEmbeddings } = parse('SmolLM3-3B');
    expect(rotary.filter((rotates) => !rotates)).toHaveLength(9);
    expect(rotary[3]).toBe(false);
    expect(tieWordEmbeddings).toBe(true);
  });
});

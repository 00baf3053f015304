/**
 * The families of models that share Llama's forward pass, by model_type of config.json, and what each of them changes.
 * Defaults are those of transformers' configuration classes: a config.json leaves out what equals them.
 */
import { UserError } from '../errors.ts';
import type { LinearName } from './weights.ts';

/** An object read from JSON. */
export type Json = Readonly<Record<string, unknown>>;

export interface Family {
  readonly architecture: string;
  /** Settings with a meaning in this family alone. */
  readonly keys: readonly string[];
  readonly defaults: Json;
  /** Whether queries and keys are normalised head by head, as in Qwen3. */
  readonly queryKeyNorm: boolean;
  /** Linear layers with a bias, whatever the settings say. */
  readonly biases: readonly LinearName[];
}

const SLIDING_KEYS = ['use_sliding_window', 'sliding_window', 'max_window_layers', 'layer_types'];

export const FAMILIES: Readonly<Record<string, Family>> = {
  llama: {
    architecture: 'LlamaForCausalLM',
    keys: ['attention_bias', 'mlp_bias'],
    defaults: {},
    queryKeyNorm: false,
    biases: [],
  },
  mistral: {
    architecture: 'MistralForCausalLM',
    keys: ['sliding_window'],
    defaults: { sliding_window: 4096, num_key_value_heads: 8 },
    queryKeyNorm: false,
    biases: [],
  },
  qwen2: {
    architecture: 'Qwen2ForCausalLM',
    keys: SLIDING_KEYS,
    defaults: { sliding_window: 4096, max_window_layers: 28 },
    queryKeyNorm: false,
    biases: ['q_proj', 'k_proj', 'v_proj'],
  },
  qwen3: {
    architecture: 'Qwen3ForCausalLM',
    keys: [...SLIDING_KEYS, 'attention_bias'],
    defaults: { sliding_window: 4096, max_window_layers: 28, head_dim: 128 },
    queryKeyNorm: true,
    biases: [],
  },
  smollm3: {
    architecture: 'SmolLM3ForCausalLM',
    keys: [...SLIDING_KEYS, 'attention_bias', 'mlp_bias', 'no_rope_layers', 'no_rope_layer_interval'],
    defaults: { tie_word_embeddings: true, rope_theta: 2e6, no_rope_layer_interval: 4 },
    queryKeyNorm: false,
    biases: [],
  },
};

/** Settings that every family has. */
const COMMON_KEYS = [
  'architectures',
  'model_type',
  'hidden_size',
  'intermediate_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'head_dim',
  'vocab_size',
  'max_position_embeddings',
  'rms_norm_eps',
  'rope_theta',
  'rope_scaling',
  'rope_parameters',
  'tie_word_embeddings',
  'eos_token_id',
];

/** Settings that change nothing here: names, training, other tokens, how another library stores or runs the model. */
const HARMLESS_KEYS = new Set([
  ...['_name_or_path', '_attn_implementation', '_attn_implementation_autoset', 'attn_implementation'],
  ...['_flash_attn_2_enabled', '_commit_hash', 'auto_map', 'bos_token_id', 'pad_token_id', 'sep_token_id'],
  ...['unk_token_id', 'decoder_start_token_id', 'dtype', 'torch_dtype', 'transformers_version', 'use_cache'],
  ...[
    'initializer_range',
    'pretraining_tp',
    'gradient_checkpointing',
    'is_llama_config',
    'id2label',
    'label2id',
  ],
  ...['num_labels', 'problem_type', 'finetuning_task', 'task_specific_params', 'return_dict', 'torchscript'],
  ...['output_attentions', 'output_hidden_states', 'use_bfloat16', 'tokenizer_class', 'tf_legacy_loss'],
  ...['transformers.js_config', 'unsloth_fixed', 'unsloth_version', 'model_name', 'license'],
  // Settings of generate() in old exports: alignment samples from the policy itself, so none of them is applied.
  ...['max_length', 'min_length', 'do_sample', 'temperature', 'top_k', 'top_p', 'typical_p', 'num_beams'],
  ...['early_stopping', 'num_beam_groups', 'diversity_penalty', 'repetition_penalty', 'length_penalty'],
  ...['no_repeat_ngram_size', 'encoder_no_repeat_ngram_size', 'bad_words_ids', 'num_return_sequences'],
  ...['output_scores', 'return_dict_in_generate', 'forced_bos_token_id', 'forced_eos_token_id'],
  ...[
    'remove_invalid_values',
    'exponential_decay_length_penalty',
    'suppress_tokens',
    'begin_suppress_tokens',
  ],
]);

/** Settings that would change the computation, each with the values under which it does not. */
const FIXED: Readonly<Record<string, readonly unknown[]>> = {
  hidden_act: ['silu'],
  attention_dropout: [0],
  attention_bias: [false],
  mlp_bias: [false],
  rope_interleaved: [false],
  partial_rotary_factor: [1],
  sliding_window: [],
  use_sliding_window: [false],
  use_mrope: [false],
  layer_types: [],
  quantization_config: [],
  attn_logit_softcapping: [],
  final_logit_softcapping: [],
  is_decoder: [false],
  is_encoder_decoder: [false],
  add_cross_attention: [false],
  tie_encoder_decoder: [false],
  chunk_size_feed_forward: [0],
  pruned_heads: [],
};

/** The family of a config.json; throws unless it is known and every setting is. `name` stands in errors. */
export function familyOf(json: Json, name: string): Family {
  const known = Object.keys(FAMILIES).join(', ');
  const type = json.model_type;
  const family = typeof type === 'string' && Object.hasOwn(FAMILIES, type) ? FAMILIES[type] : undefined;
  const architectures = json.architectures ?? (family ? [family.architecture] : []);
  if (!family || !Array.isArray(architectures) || !architectures.includes(family.architecture)) {
    const expected = family ? `${family.architecture} for model_type "${type}"` : `one of ${known}`;
    throw new UserError(
      `${name}: unknown architecture: model_type ${show(type)}, architectures ${show(architectures)}; expected ${expected}`,
    );
  }
  for (const [key, value] of Object.entries(json)) {
    if (value === null || HARMLESS_KEYS.has(key)) continue;
    if (family.keys.includes(key) || COMMON_KEYS.includes(key)) continue;
    const accepted = Object.hasOwn(FIXED, key) ? FIXED[key] : undefined;
    if (!accepted) {
      throw new UserError(
        `${name}: ${key} ${show(value)} is not known of model_type "${type}"; ` +
          'remove it from config.json if it does not change what the model computes',
      );
    }
    if (!accepted.includes(value) && !isEmpty(value)) {
      const expected = accepted.length > 0 ? show(accepted[0]) : 'none';
      throw new UserError(
        `${name}: ${key} ${show(value)} is not supported for model_type "${type}"; expected ${expected}`,
      );
    }
  }
  return family;
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/** A value as messages show it. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'none';
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

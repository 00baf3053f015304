/** A Llama of a few hundred weights drawn from a seed, as files in memory: every shape differs from the others. */
import { writeSafetensors } from '../../src/data/safetensors.ts';
import { keyOf, Random } from '../../src/random.ts';
import { MemoryFolder } from '../support/memory_folder.ts';

export const tinyConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 10,
  intermediate_size: 14,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  vocab_size: 18,
  max_position_embeddings: 32,
  rms_norm_eps: 1e-5,
  rope_theta: 100,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  eos_token_id: 2,
};

const WORDS = '<unk> <s> </s> the cat dog sat ran on in mat hat big red and so'.split(' ');

export const tinyTokenizer = {
  version: '1.0',
  added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => ({ id, content, special: true })),
  normalizer: null,
  pre_tokenizer: { type: 'WhitespaceSplit' },
  post_processor: null,
  decoder: { type: 'Fuse' },
  model: {
    type: 'WordLevel',
    vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
    unk_token: '<unk>',
  },
};

export type Tensors = Map<string, { shape: number[]; data: Float32Array }>;

/** Normal-ish weights (sums of uniforms) for `tinyConfig`, norms about 1. */
export function tinyWeights(): Tensors {
  const random = new Random(keyOf(5, 'tiny'));
  const draw = () => random.uniform() + random.uniform() + random.uniform() - 1.5;
  const tensors: Tensors = new Map();
  const add = (key: string, shape: number[], centre = 0) => {
    const size = shape.reduce((product, length) => product * length, 1);
    const data = Float32Array.from({ length: size }, () => centre + 0.6 * draw());
    tensors.set(key, { shape, data });
  };
  add('model.embed_tokens.weight', [18, 10]);
  for (const layer of [0, 1]) {
    const path = `model.layers.${layer}`;
    add(`${path}.input_layernorm.weight`, [10], 1);
    add(`${path}.post_attention_layernorm.weight`, [10], 1);
    add(`${path}.self_attn.q_proj.weight`, [32, 10]);
    add(`${path}.self_attn.k_proj.weight`, [16, 10]);
    add(`${path}.self_attn.v_proj.weight`, [16, 10]);
    add(`${path}.self_attn.o_proj.weight`, [10, 32]);
    add(`${path}.mlp.gate_proj.weight`, [14, 10]);
    add(`${path}.mlp.up_proj.weight`, [14, 10]);
    add(`${path}.mlp.down_proj.weight`, [10, 14]);
  }
  add('model.norm.weight', [10], 1);
  add('lm_head.weight', [18, 10]);
  return tensors;
}

/** The model's folder, with changes to its config and weights. */
export async function tinyFolder(
  config: Record<string, unknown> = {},
  change: (tensors: Tensors) => void = () => {},
): Promise<MemoryFolder> {
  const folder = new MemoryFolder();
  const tensors = tinyWeights();
  change(tensors);
  await folder.write('config.json', JSON.stringify({ ...tinyConfig, ...config }));
  await folder.write('tokenizer.json', JSON.stringify(tinyTokenizer));
  await folder.write('model.safetensors', writeSafetensors(tensors));
  return folder;
}

import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { loadPolicy } from '../../src/model/policy.ts';
import { loadTokenizer, Tokenizer } from '../../src/model/tokenizer.ts';
import { MemoryFolder } from '../support/memory_folder.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';
import { type Tensors, tinyFolder, tinyTokenizer, tinyWeights } from './tiny.ts';

const mistral = { model_type: 'mistral', architectures: ['MistralForCausalLM'] };
const qwen2 = { model_type: 'qwen2', architectures: ['Qwen2ForCausalLM'] };

const load = (folder: MemoryFolder) => loadPolicy(new ReferenceEngine(), folder);

describe('loadPolicy', () => {
  it('takes a folder whose every part fits', async () => {
    const policy = await load(await tinyFolder());
    expect(policy.eosIds).toEqual([2]);
    expect(policy.maxLength).toBe(32);
    expect(policy.config).toMatchObject({ headDim: 8, keyValueHeads: 2, rope: { theta: 100 } });
  });

  it('takes the eos ids of generation_config.json first', async () => {
    const folder = await tinyFolder();
    await folder.write('generation_config.json', '{"eos_token_id": [1, 2]}');
    expect((await load(folder)).eosIds).toEqual([1, 2]);
  });

  it('reads the rope base where transformers 5 puts it', async () => {
    const folder = await tinyFolder({
      rope_theta: undefined,
      rope_parameters: { rope_type: 'default', rope_theta: 500 },
    });
    expect((await load(folder)).config.rope.theta).toBe(500);
  });

  it.each([
    ['unknown architecture', { model_type: 'mamba' }, /unknown architecture: model_type "mamba"/],
    ['a classifier', { architectures: ['LlamaForSequenceClassification'] }, /unknown architecture/],
    [
      'an architecture of another family',
      { model_type: 'qwen2' },
      /expected Qwen2ForCausalLM for model_type/,
    ],
    ['unknown scaling', { rope_scaling: { type: 'dynamic', factor: 2 } }, /rope_scaling .*"dynamic" is not/],
    ['scaled rope of transformers 5', { rope_parameters: { rope_type: 'yarn' } }, /rope_type "yarn" is not/],
    [
      'half of a scaling',
      { rope_scaling: { rope_type: 'llama3', factor: 8 } },
      /low_freq_factor as a positive number, got none/,
    ],
    [
      'part of a rope',
      { rope_parameters: { mrope_section: [1] } },
      /rope_parameters.mrope_section \[1\] is not/,
    ],
    ['a setting it does not know', { clip_qkv: 8 }, /clip_qkv 8 is not known .* remove it from config.json/],
    ["another family's setting", { no_rope_layers: [1, 0] }, /no_rope_layers \[1,0\] is not known/],
    ['interleaved rope', { rope_interleaved: true }, /rope_interleaved true is not supported/],
    ['biases that are not there', { attention_bias: true }, /q_proj.bias is missing; .* shape \[32\]/],
    ['another activation', { hidden_act: 'gelu' }, /hidden_act "gelu" is not supported .* expected "silu"/],
    ['a small head', { head_dim: 6 }, /head_dim as a multiple of 4, got 6/],
    ['a window that is none', { ...mistral, sliding_window: 'wide' }, /sliding_window as a positive integer/],
    ['windows for other layers', { ...qwen2, layer_types: ['full_attention'] }, /layer_types as 2 times/],
    ['a sliding window', { sliding_window: 4096 }, /sliding_window 4096 is not supported/],
    ['quantized weights', { quantization_config: { bits: 4 } }, /quantization_config .* is not supported/],
    ['a text for yes', { tie_word_embeddings: 'yes' }, /tie_word_embeddings as true or false, got "yes"/],
    ['a number for yes', { attention_bias: 1 }, /attention_bias as true or false, got 1/],
    ['windows by a text', { ...qwen2, use_sliding_window: 'true' }, /use_sliding_window as true or false/],
    [
      'windows from nowhere',
      { ...qwen2, max_window_layers: 'x' },
      /max_window_layers as an integer .* got "x"/,
    ],
    ['a missing size', { hidden_size: undefined }, /expected hidden_size as a positive integer, got none/],
    ['a negative epsilon', { rms_norm_eps: -1 }, /rms_norm_eps as a positive number, got -1/],
    ['groups that do not divide', { num_key_value_heads: 3 }, /multiple of num_key_value_heads, got 4 and 3/],
    ['a small vocabulary', { vocab_size: 10 }, /tokenizer mismatch: tokenizer.json has ids up to 15/],
    ['bad eos ids', { eos_token_id: 'end' }, /eos_token_id as token ids, got "end"/],
  ])('refuses %s by name', async (_, change, message) => {
    const folder = await tinyFolder(change);
    await expect(load(folder)).rejects.toThrow(UserError);
    await expect(load(folder)).rejects.toThrow(message);
  });

  const up = 'model.layers.1.mlp.up_proj.weight';
  it.each([
    [
      'a missing tensor',
      (tensors: Tensors) => void tensors.delete(up),
      /up_proj.weight is missing; .* \[14,10\]/,
    ],
    [
      'a transposed tensor',
      (tensors: Tensors) => void tensors.set(up, { ...tensors.get(up)!, shape: [10, 14] }),
      /up_proj.weight has shape \[10,14\]; config.json asks for \[14,10\]/,
    ],
    [
      'a tensor without a place',
      (tensors: Tensors) => void tensors.set('extra.bias', { shape: [1], data: new Float32Array(1) }),
      /extra.bias has no place/,
    ],
  ])('refuses %s', async (_, change, message) => {
    const folder = await tinyFolder({}, change);
    await expect(load(folder)).rejects.toThrow(message);
  });

  it('refuses truncated weights and broken JSON', async () => {
    const cut = await tinyFolder();
    cut.files.set('model.safetensors', cut.files.get('model.safetensors')!.slice(0, -5));
    await expect(load(cut)).rejects.toThrow(/^memory\/model.safetensors: not a valid safetensors file/);
    const sharded = await tinyFolder();
    sharded.files.delete('model.safetensors');
    await expect(load(sharded)).rejects.toThrow(/^model.safetensors: no such file/);
    const broken = await tinyFolder();
    await broken.write('config.json', '{"model_type": ');
    await expect(load(broken)).rejects.toThrow(/^memory\/config.json: expected JSON/);
  });

  it('reads bfloat16 weights', async () => {
    const folder = await tinyFolder();
    const weights = tinyWeights();
    await folder.write('model.safetensors', brainHalves(weights));
    const engine = new ReferenceEngine();
    const policy = await loadPolicy(engine, folder);
    const expected = weights.get('lm_head.weight')!.data;
    engine.values(policy.weights.head).forEach((value, i) => {
      expect(Math.abs(value - expected[i])).toBeLessThanOrEqual(Math.abs(expected[i]) / 128);
    });
  });
});

/** A file of bfloat16 tensors, made without our writer: the upper halves of the f32. */
function brainHalves(tensors: Tensors): Uint8Array {
  const header: Record<string, unknown> = {};
  const parts: number[] = [];
  for (const [key, { shape, data }] of tensors) {
    const begin = parts.length;
    const bytes = new Uint8Array(data.buffer);
    for (let i = 0; i < data.length; i++) parts.push(bytes[4 * i + 2], bytes[4 * i + 3]);
    header[key] = { dtype: 'BF16', shape, data_offsets: [begin, parts.length] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  return Uint8Array.from([
    ...new Uint8Array(new BigUint64Array([BigInt(json.length)]).buffer),
    ...json,
    ...parts,
  ]);
}

describe('Tokenizer', () => {
  it('takes the unknown token for what it does not know, and needs one', () => {
    const ids = (json: object) => new Tokenizer(json, {}).encode('the zebra');
    expect(ids(tinyTokenizer)).toEqual([3, 0]);
    const without = { ...tinyTokenizer, model: { ...tinyTokenizer.model, unk_token: null } };
    expect(() => ids(without)).toThrow(/expected text of known tokens.* got "the zebra"/);
  });

  it('encodes, decodes and knows its vocabulary', async () => {
    const tokenizer = await loadTokenizer(await tinyFolder());
    expect(tokenizer.vocabularySize).toBe(16);
    expect(tokenizer.encode('the cat sat')).toEqual([3, 4, 6]);
    expect(tokenizer.decode([3, 4, 2])).toBe('thecat');
    expect(tokenizer.decode([3, 2], false)).toBe('the</s>');
  });

  it('refuses what is not a tokenizer', async () => {
    const folder = new MemoryFolder();
    await folder.write('tokenizer.json', '{"model": {}}');
    await expect(loadTokenizer(folder)).rejects.toThrow(
      /^memory\/tokenizer.json: expected a Hugging Face fast/,
    );
  });
});

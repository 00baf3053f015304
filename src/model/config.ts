import type { Folder } from '../data/folder.ts';
import { messageOf, UserError } from '../errors.ts';

/** The shape of a Llama-family model, from its config.json. */
export interface LlamaConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly maxPositions: number;
  readonly rmsNormEpsilon: number;
  readonly ropeTheta: number;
  readonly tieWordEmbeddings: boolean;
}

/** Settings of Hugging Face's LlamaConfig that change the computation; each with the one value that is supported. */
const FIXED: readonly { field: string; accepted: readonly unknown[] }[] = [
  { field: 'hidden_act', accepted: ['silu'] },
  { field: 'attention_bias', accepted: [false] },
  { field: 'mlp_bias', accepted: [false] },
  { field: 'rope_scaling', accepted: [] },
  { field: 'rope_interleaved', accepted: [false] },
  { field: 'partial_rotary_factor', accepted: [1] },
  { field: 'sliding_window', accepted: [] },
  { field: 'use_sliding_window', accepted: [false] },
  { field: 'quantization_config', accepted: [] },
  { field: 'attn_logit_softcapping', accepted: [] },
  { field: 'final_logit_softcapping', accepted: [] },
];

/** Reads and checks config.json of a model folder. */
export async function loadLlamaConfig(folder: Folder): Promise<LlamaConfig> {
  return parseLlamaConfig(await readJsonObject(folder, 'config.json'), `${folder.name}/config.json`);
}

/** Checks a parsed config.json; `name` stands in errors. */
export function parseLlamaConfig(json: Readonly<Record<string, unknown>>, name: string): LlamaConfig {
  const architectures = json.architectures ?? ['LlamaForCausalLM'];
  const known = Array.isArray(architectures) && architectures.includes('LlamaForCausalLM');
  if (json.model_type !== 'llama' || !known) {
    throw new UserError(
      `${name}: unknown architecture: model_type ${show(json.model_type)}, architectures ${show(architectures)}; ` +
        'expected model_type "llama" with LlamaForCausalLM',
    );
  }
  for (const { field, accepted } of FIXED) {
    const value = json[field] ?? null;
    if (value !== null && !accepted.includes(value)) {
      const expected = accepted.length > 0 ? show(accepted[0]) : 'none';
      throw new UserError(`${name}: ${field} ${show(value)} is not supported; expected ${expected}`);
    }
  }
  const size = (field: string, fallback?: number): number => {
    const value = json[field] ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) {
      throw new UserError(`${name}: expected ${field} as a positive integer, got ${show(json[field])}`);
    }
    return value;
  };
  const positive = (field: string, value: unknown): number => {
    if (typeof value !== 'number' || !(value > 0 && value < Infinity)) {
      throw new UserError(`${name}: expected ${field} as a positive number, got ${show(value)}`);
    }
    return value;
  };

  const hiddenSize = size('hidden_size');
  const heads = size('num_attention_heads');
  const config: LlamaConfig = {
    hiddenSize,
    intermediateSize: size('intermediate_size'),
    layers: size('num_hidden_layers'),
    heads,
    keyValueHeads: size('num_key_value_heads', heads),
    headDim: size('head_dim', hiddenSize / heads),
    vocabSize: size('vocab_size'),
    maxPositions: size('max_position_embeddings'),
    rmsNormEpsilon: positive('rms_norm_eps', json.rms_norm_eps ?? 1e-6),
    ropeTheta: positive('rope_theta', ropeTheta(json, name)),
    tieWordEmbeddings: json.tie_word_embeddings === true,
  };
  if (heads % config.keyValueHeads !== 0) {
    throw new UserError(
      `${name}: expected num_attention_heads as a multiple of num_key_value_heads, got ${heads} and ${config.keyValueHeads}`,
    );
  }
  if (config.headDim % 2 !== 0) {
    throw new UserError(`${name}: expected an even head_dim, got ${config.headDim}`);
  }
  return config;
}

/** Since version 5, transformers writes the base into rope_parameters, beside the scaling's type. */
function ropeTheta(json: Readonly<Record<string, unknown>>, name: string): unknown {
  const parameters = (json.rope_parameters ?? {}) as { rope_type?: unknown; rope_theta?: unknown };
  if ((parameters.rope_type ?? 'default') !== 'default') {
    throw new UserError(
      `${name}: rope_parameters.rope_type ${show(parameters.rope_type)} is not supported; expected "default"`,
    );
  }
  return json.rope_theta ?? parameters.rope_theta ?? 10000;
}

/** Ids that end a response: those of generation_config.json, else those of config.json; none when neither names one. */
export async function loadEosIds(folder: Folder): Promise<number[]> {
  const files = ['generation_config.json', 'config.json'];
  for (const file of files) {
    if (!(await folder.exists(file))) continue;
    const { eos_token_id: eos } = await readJsonObject(folder, file);
    if (eos === undefined || eos === null) continue;
    const ids = Array.isArray(eos) ? eos : [eos];
    if (!ids.every((id) => Number.isInteger(id) && id >= 0)) {
      throw new UserError(`${folder.name}/${file}: expected eos_token_id as token ids, got ${show(eos)}`);
    }
    return ids;
  }
  return [];
}

/** The JSON object in a file of `folder`. */
export async function readJsonObject(folder: Folder, path: string): Promise<Record<string, unknown>> {
  const text = await folder.readText(path);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${folder.name}/${path}: expected JSON (${messageOf(error)})`);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new UserError(`${folder.name}/${path}: expected a JSON object, got ${show(json).slice(0, 40)}`);
  }
  return json as Record<string, unknown>;
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? 'none';
}

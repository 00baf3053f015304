import type { Folder } from '../data/folder.ts';
import { readJsonObject } from '../data/json.ts';
import type { SafeTensorDtype } from '../data/safetensors_header.ts';
import { UserError } from '../errors.ts';
import { type Family, familyOf, type Json, show } from './families.ts';
import { parseRope, type RopeConfig } from './rope_config.ts';
import type { LinearName } from './weights.ts';

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
  readonly rope: RopeConfig;
  /** Whether a layer rotates its queries and keys. */
  readonly rotary: readonly boolean[];
  /** How many positions each layer's queries see, their own included; Infinity for all. */
  readonly windows: readonly number[];
  /** Linear layers that add a bias. */
  readonly biases: ReadonlySet<LinearName>;
  /** Whether queries and keys are normalised head by head. */
  readonly queryKeyNorm: boolean;
  readonly tieWordEmbeddings: boolean;
  /** Whether the model ends in one score, with no use for logits. */
  readonly scoreHead: boolean;
  /** What the files are said to hold the weights as. */
  readonly storedAs: SafeTensorDtype;
}

/** torch's names of what weights are stored as, which transformers writes. */
const STORED_AS: Readonly<Record<string, SafeTensorDtype>> = { float16: 'F16', bfloat16: 'BF16' };

/** Settings that are true or false. */
const FLAGS = ['tie_word_embeddings', 'attention_bias', 'mlp_bias', 'use_sliding_window'];

/** Reads and checks config.json of a model folder. */
export async function loadLlamaConfig(folder: Folder): Promise<LlamaConfig> {
  return parseLlamaConfig(await readJsonObject(folder, 'config.json'), `${folder.name}/config.json`);
}

/** Checks a parsed config.json; `name` stands in errors. Throws a UserError that names whatever is not supported. */
export function parseLlamaConfig(given: Json, name: string): LlamaConfig {
  const family = familyOf(given, name);
  const json: Json = { ...family.defaults, ...given };
  const size = (field: string, fallback?: number): number => {
    const value = json[field] ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) {
      throw new UserError(`${name}: expected ${field} as a positive integer, got ${show(value)}`);
    }
    return value;
  };
  for (const field of FLAGS) {
    if (json[field] !== undefined && json[field] !== null && typeof json[field] !== 'boolean') {
      throw new UserError(`${name}: expected ${field} as true or false, got ${show(json[field])}`);
    }
  }
  const hiddenSize = size('hidden_size');
  const layers = size('num_hidden_layers');
  const heads = size('num_attention_heads');
  const maxPositions = size('max_position_embeddings');
  const epsilon = json.rms_norm_eps ?? 1e-6;
  if (typeof epsilon !== 'number' || !(epsilon > 0 && epsilon < Infinity)) {
    throw new UserError(`${name}: expected rms_norm_eps as a positive number, got ${show(epsilon)}`);
  }
  const rotary = rotaryLayers(json, layers, name);
  const config: LlamaConfig = {
    hiddenSize,
    intermediateSize: size('intermediate_size'),
    layers,
    heads,
    keyValueHeads: size('num_key_value_heads', heads),
    headDim: size('head_dim', hiddenSize / heads),
    vocabSize: size('vocab_size'),
    maxPositions,
    rmsNormEpsilon: epsilon,
    rope: parseRope(json, maxPositions, name),
    rotary,
    windows: windows(json, layers, rotary, name),
    biases: biases(json, family),
    queryKeyNorm: family.queryKeyNorm,
    tieWordEmbeddings: json.tie_word_embeddings === true,
    scoreHead: false,
    storedAs: STORED_AS[String(json.dtype ?? json.torch_dtype)] ?? 'F32',
  };
  if (heads % config.keyValueHeads !== 0) {
    throw new UserError(
      `${name}: expected num_attention_heads as a multiple of num_key_value_heads, got ${heads} and ${config.keyValueHeads}`,
    );
  }
  if (config.headDim % 4 !== 0) {
    throw new UserError(`${name}: expected head_dim as a multiple of 4, got ${config.headDim}`);
  }
  return config;
}

function biases(json: Json, family: Family): ReadonlySet<LinearName> {
  return new Set<LinearName>([
    ...family.biases,
    ...(json.attention_bias === true ? (['q_proj', 'k_proj', 'v_proj', 'o_proj'] as const) : []),
    ...(json.mlp_bias === true ? (['gate_proj', 'up_proj', 'down_proj'] as const) : []),
  ]);
}

/** SmolLM3 leaves rotary embedding out of every fourth layer, or where no_rope_layers has a 0. */
function rotaryLayers(json: Json, layers: number, name: string): boolean[] {
  const { no_rope_layers: listed, no_rope_layer_interval: interval } = json;
  if (Array.isArray(listed)) {
    if (listed.length !== layers || !listed.every((flag) => flag === 0 || flag === 1)) {
      throw new UserError(`${name}: expected no_rope_layers as ${layers} times 0 or 1, got ${show(listed)}`);
    }
    return listed.map((flag) => flag === 1);
  }
  const every = whole(interval, 'no_rope_layer_interval', name);
  return Array.from({ length: layers }, (_, block) => every === 0 || (block + 1) % every !== 0);
}

/** A count that may be left out. */
function whole(value: unknown, field: string, name: string): number {
  const count = value ?? 0;
  if (Number.isInteger(count) && Number(count) >= 0) return Number(count);
  throw new UserError(`${name}: expected ${field} as an integer of at least 0, got ${show(value)}`);
}

/** Positions that each layer's queries see, as the families' configuration classes in transformers define them. */
function windows(json: Json, layers: number, rotary: readonly boolean[], name: string): number[] {
  const { model_type: type, sliding_window: window, layer_types: types } = json;
  const inUse = type === 'mistral' || json.use_sliding_window === true;
  const width = inUse ? (window ?? Infinity) : Infinity;
  if (width !== Infinity && !(Number.isInteger(width) && Number(width) > 0)) {
    throw new UserError(`${name}: expected sliding_window as a positive integer, got ${show(window)}`);
  }
  const wide = (slides: boolean) => (slides ? Number(width) : Infinity);
  if (Array.isArray(types)) {
    const known = ['full_attention', 'sliding_attention'];
    if (types.length !== layers || !types.every((each) => known.includes(each))) {
      throw new UserError(
        `${name}: expected layer_types as ${layers} times ${known.join(' or ')}, got ${show(types)}`,
      );
    }
    return types.map((each) => wide(each === 'sliding_attention'));
  }
  const first = whole(json.max_window_layers, 'max_window_layers', name);
  return rotary.map((rotates, block) =>
    wide(type === 'mistral' || (type === 'smollm3' ? !rotates : block >= first)),
  );
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

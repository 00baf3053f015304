import type { Folder } from '../data/folder.ts';
import type { Engine, MemoryLimits, Tensor } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import type { LlamaConfig } from './config.ts';
import {
  chooseDtype,
  type DtypeChoice,
  formatOf,
  type HeldFormats,
  heldFormats,
  type ModelTensors,
  uploadTensor,
} from './dtype.ts';
import type { Adapter } from './lora.ts';
import { openWeightFiles, type WeightFiles } from './weight_files.ts';

/** Linear layers of a block, by the name PEFT targets them with, and their place in the block. */
export const LINEAR_PATHS = {
  q_proj: 'self_attn.q_proj',
  k_proj: 'self_attn.k_proj',
  v_proj: 'self_attn.v_proj',
  o_proj: 'self_attn.o_proj',
  gate_proj: 'mlp.gate_proj',
  up_proj: 'mlp.up_proj',
  down_proj: 'mlp.down_proj',
} as const;

/** A linear layer of a block, by its name in the checkpoint: q_proj, k_proj, … */
export type LinearName = keyof typeof LINEAR_PATHS;

const EMBEDDING = 'model.embed_tokens.weight';
const NORM = 'model.norm.weight';
const HEAD = 'lm_head.weight';
const SCORE = 'score.weight';

export const LINEAR_NAMES = Object.keys(LINEAR_PATHS) as LinearName[];

/** One block; every linear weight is `[out, in]`, every bias `[out]`, the norms of queries and keys `[head_dim]`. */
export interface BlockWeights {
  readonly inputNorm: Tensor;
  readonly postAttentionNorm: Tensor;
  readonly queryNorm?: Tensor;
  readonly keyNorm?: Tensor;
  readonly linears: Readonly<Record<LinearName, Tensor>>;
  readonly biases: Readonly<Partial<Record<LinearName, Tensor>>>;
}

/** All weights of a model, on the device. */
export interface LlamaWeights {
  /** `[vocab, hidden]` */
  readonly embedding: Tensor;
  readonly blocks: readonly BlockWeights[];
  readonly norm: Tensor;
  /** `[vocab, hidden]`; the embedding itself when the two are tied. */
  readonly head: Tensor;
  /** `[1, hidden]` of a reward model. */
  readonly score?: Tensor;
  /** Factors that could not be added to the weights, to be applied beside them (`mergeAdapter`). */
  readonly beside?: Adapter;
}

/** `[out, in]` of a linear layer. */
export function linearShape(config: LlamaConfig, name: LinearName): [number, number] {
  const { hiddenSize, intermediateSize, heads, keyValueHeads, headDim } = config;
  const shapes: Record<LinearName, [number, number]> = {
    q_proj: [heads * headDim, hiddenSize],
    k_proj: [keyValueHeads * headDim, hiddenSize],
    v_proj: [keyValueHeads * headDim, hiddenSize],
    o_proj: [hiddenSize, heads * headDim],
    gate_proj: [intermediateSize, hiddenSize],
    up_proj: [intermediateSize, hiddenSize],
    down_proj: [hiddenSize, intermediateSize],
  };
  return shapes[name];
}

/** The path of a linear layer in Hugging Face's module tree. */
export function linearPath(block: number, name: LinearName): string {
  return `model.layers.${block}.${LINEAR_PATHS[name]}`;
}

/**
 * Uploads the weights of a Hugging Face folder, after checking that every tensor is there with its shape, and that they
 * fit the device as `choice`. One tensor at a time is read: the host never holds more.
 */
export async function loadWeights(
  engine: Engine,
  folder: Folder,
  config: LlamaConfig,
  choice: DtypeChoice = 'auto',
): Promise<LlamaWeights> {
  const files = await openWeightFiles(folder);
  checkWeights(files, config);
  const tensors = modelTensors(folder.name, files, config);
  const dtype = chooseDtype(choice, engine.limits, config, tensors);
  const loaded: Tensor[] = [];
  const load = async (key: string) => {
    const tensor = await files.read(key);
    const format = formatOf(dtype, tensors.isLinear(key), files.entries.get(key)!);
    const held = uploadTensor(engine, tensor, format, `${files.name}: ${key}`);
    loaded.push(held);
    return held;
  };
  try {
    return await assembleWeights(config, load);
  } catch (error) {
    engine.free(...loaded);
    throw error;
  }
}

/** What the weights of a folder would be held as, by the headers of its files alone. */
export async function weightFormats(
  limits: MemoryLimits,
  folder: Folder,
  config: LlamaConfig,
  choice: DtypeChoice,
): Promise<HeldFormats> {
  const files = await openWeightFiles(folder);
  checkWeights(files, config);
  const tensors = modelTensors(folder.name, files, config);
  return heldFormats(chooseDtype(choice, limits, config, tensors), files.entries.get(EMBEDDING)!);
}

/** The same by config.json alone, which says what the files hold. */
export function plannedFormats(
  limits: MemoryLimits,
  name: string,
  config: LlamaConfig,
  choice: DtypeChoice,
): HeldFormats {
  const entries = new Map(
    [...weightShapes(config)].map(([key, shape]) => [key, { dtype: config.storedAs, shape }]),
  );
  const dtype = chooseDtype(choice, limits, config, { name, entries, isLinear: isLinearWeight });
  return heldFormats(dtype, entries.get(EMBEDDING)!);
}

/** The weights of a model, each from `load`, which is called with the names that Hugging Face gives them. */
export async function assembleWeights(
  config: LlamaConfig,
  load: (key: string) => Promise<Tensor>,
): Promise<LlamaWeights> {
  const embedding = await load(EMBEDDING);
  const blocks: BlockWeights[] = [];
  for (let block = 0; block < config.layers; block++) blocks.push(await loadBlock(block, config, load));
  const head = config.tieWordEmbeddings ? embedding : await load(HEAD);
  const score = config.scoreHead ? await load(SCORE) : undefined;
  return { embedding, blocks, norm: await load(NORM), head, score };
}

async function loadBlock(
  block: number,
  config: LlamaConfig,
  load: (key: string) => Promise<Tensor>,
): Promise<BlockWeights> {
  const path = `model.layers.${block}`;
  const linears: Partial<Record<LinearName, Tensor>> = {};
  const biases: Partial<Record<LinearName, Tensor>> = {};
  for (const name of LINEAR_NAMES) {
    linears[name] = await load(`${linearPath(block, name)}.weight`);
    if (config.biases.has(name)) biases[name] = await load(`${linearPath(block, name)}.bias`);
  }
  const norm = (name: string) => load(`${path}.self_attn.${name}.weight`);
  return {
    inputNorm: await load(`${path}.input_layernorm.weight`),
    postAttentionNorm: await load(`${path}.post_attention_layernorm.weight`),
    queryNorm: config.queryKeyNorm ? await norm('q_norm') : undefined,
    keyNorm: config.queryKeyNorm ? await norm('k_norm') : undefined,
    linears: linears as Record<LinearName, Tensor>,
    biases,
  };
}

/** The shape of each tensor that a model of this configuration has, by its name in Hugging Face's folders. */
export function weightShapes(config: LlamaConfig): Map<string, number[]> {
  const { hiddenSize, vocabSize, headDim, layers } = config;
  const shapes = new Map<string, number[]>([
    [EMBEDDING, [vocabSize, hiddenSize]],
    [NORM, [hiddenSize]],
  ]);
  if (!config.tieWordEmbeddings) shapes.set(HEAD, [vocabSize, hiddenSize]);
  if (config.scoreHead) shapes.set(SCORE, [1, hiddenSize]);
  for (let block = 0; block < layers; block++) {
    const path = `model.layers.${block}`;
    shapes.set(`${path}.input_layernorm.weight`, [hiddenSize]);
    shapes.set(`${path}.post_attention_layernorm.weight`, [hiddenSize]);
    if (config.queryKeyNorm) {
      shapes.set(`${path}.self_attn.q_norm.weight`, [headDim]);
      shapes.set(`${path}.self_attn.k_norm.weight`, [headDim]);
    }
    for (const linear of LINEAR_NAMES) {
      const [out, input] = linearShape(config, linear);
      shapes.set(`${linearPath(block, linear)}.weight`, [out, input]);
      if (config.biases.has(linear)) shapes.set(`${linearPath(block, linear)}.bias`, [out]);
    }
  }
  return shapes;
}

/** Whether a matrix of `weightShapes` is a linear layer's, not the embedding or a head. */
export function isLinearWeight(key: string): boolean {
  return key !== EMBEDDING && key !== HEAD && key !== SCORE;
}

/** The tensors of the files that the model of `config` has. */
function modelTensors(name: string, files: WeightFiles, config: LlamaConfig): ModelTensors {
  const keys = [...weightShapes(config).keys()];
  return {
    name,
    entries: new Map(keys.map((key) => [key, files.entries.get(key)!])),
    isLinear: isLinearWeight,
  };
}

function checkWeights({ entries, name }: WeightFiles, config: LlamaConfig): void {
  const expected = weightShapes(config);
  for (const [key, shape] of expected) {
    const tensor = entries.get(key);
    if (!tensor)
      throw new UserError(`${name}: ${key} is missing; config.json asks for it with shape [${shape}]`);
    if (tensor.shape.join() !== shape.join()) {
      throw new UserError(`${name}: ${key} has shape [${tensor.shape}]; config.json asks for [${shape}]`);
    }
    if (!['F32', 'F16', 'BF16'].includes(tensor.dtype)) {
      throw new UserError(`${name}: ${key} has dtype ${tensor.dtype}; expected F32, F16 or BF16`);
    }
  }
  // Older exports carry these constants; anything else would be silently left out of the computation.
  const ignorable = (key: string) =>
    key.endsWith('rotary_emb.inv_freq') || (config.tieWordEmbeddings && key === HEAD);
  for (const key of entries.keys()) {
    if (!expected.has(key) && !ignorable(key)) {
      throw new UserError(`${name}: ${key} has no place in the model of config.json`);
    }
  }
}

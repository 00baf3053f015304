import type { Folder } from '../data/folder.ts';
import { parseSafetensors, type SafeTensorsFile } from '../data/safetensors.ts';
import type { Engine, Tensor } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import type { LlamaConfig } from './config.ts';

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

export type LinearName = keyof typeof LINEAR_PATHS;

export const LINEAR_NAMES = Object.keys(LINEAR_PATHS) as LinearName[];

/** One block; every linear weight is `[out, in]`. */
export interface BlockWeights {
  readonly inputNorm: Tensor;
  readonly postAttentionNorm: Tensor;
  readonly linears: Readonly<Record<LinearName, Tensor>>;
}

export interface LlamaWeights {
  /** `[vocab, hidden]` */
  readonly embedding: Tensor;
  readonly blocks: readonly BlockWeights[];
  readonly norm: Tensor;
  /** `[vocab, hidden]`; the embedding itself when the two are tied. */
  readonly head: Tensor;
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

/** Uploads model.safetensors as f32, after checking that every tensor is there with its shape. */
export async function loadWeights(
  engine: Engine,
  folder: Folder,
  config: LlamaConfig,
): Promise<LlamaWeights> {
  const name = `${folder.name}/model.safetensors`;
  const file = parseSafetensors(await readWeights(folder), name);
  checkWeights(file, config, name);
  const load = (key: string) => {
    const tensor = file.tensors.get(key)!;
    return engine.upload(tensor.f32(), tensor.shape);
  };
  const embedding = load('model.embed_tokens.weight');
  const blocks = Array.from({ length: config.layers }, (_, block): BlockWeights => {
    const linears = LINEAR_NAMES.map((linear) => [linear, load(`${linearPath(block, linear)}.weight`)]);
    return {
      inputNorm: load(`model.layers.${block}.input_layernorm.weight`),
      postAttentionNorm: load(`model.layers.${block}.post_attention_layernorm.weight`),
      linears: Object.fromEntries(linears) as Record<LinearName, Tensor>,
    };
  });
  const head = config.tieWordEmbeddings ? embedding : load('lm_head.weight');
  return { embedding, blocks, norm: load('model.norm.weight'), head };
}

async function readWeights(folder: Folder): Promise<Uint8Array> {
  if (!(await folder.exists('model.safetensors')) && (await folder.exists('model.safetensors.index.json'))) {
    throw new UserError(
      `${folder.name}/model.safetensors.index.json: sharded weights are not supported; ` +
        'expected one model.safetensors (save_pretrained with a larger max_shard_size writes it)',
    );
  }
  return folder.read('model.safetensors');
}

function checkWeights(file: SafeTensorsFile, config: LlamaConfig, name: string): void {
  const { hiddenSize, vocabSize, layers, tieWordEmbeddings } = config;
  const expected = new Map<string, number[]>([
    ['model.embed_tokens.weight', [vocabSize, hiddenSize]],
    ['model.norm.weight', [hiddenSize]],
  ]);
  if (!tieWordEmbeddings) expected.set('lm_head.weight', [vocabSize, hiddenSize]);
  for (let block = 0; block < layers; block++) {
    expected.set(`model.layers.${block}.input_layernorm.weight`, [hiddenSize]);
    expected.set(`model.layers.${block}.post_attention_layernorm.weight`, [hiddenSize]);
    for (const linear of LINEAR_NAMES) {
      expected.set(`${linearPath(block, linear)}.weight`, linearShape(config, linear));
    }
  }
  for (const [key, shape] of expected) {
    const tensor = file.tensors.get(key);
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
    key.endsWith('rotary_emb.inv_freq') || (tieWordEmbeddings && key === 'lm_head.weight');
  for (const key of file.tensors.keys()) {
    if (!expected.has(key) && !ignorable(key)) {
      throw new UserError(`${name}: ${key} has no place in the model of config.json`);
    }
  }
}

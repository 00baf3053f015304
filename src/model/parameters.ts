import type { Engine, Tensor } from '../engine/engine.ts';
import type { LlamaConfig } from './config.ts';
import {
  type BlockWeights,
  LINEAR_NAMES,
  type LinearName,
  type LlamaWeights,
  linearPath,
} from './weights.ts';

/** One weight by its name in Hugging Face's files. */
export interface NamedWeight {
  readonly key: string;
  readonly tensor: Tensor;
}

/** Every weight once; a tied head is the embedding. */
export function* namedWeights(config: LlamaConfig, weights: LlamaWeights): Generator<NamedWeight> {
  yield { key: 'model.embed_tokens.weight', tensor: weights.embedding };
  for (const [index, block] of weights.blocks.entries()) {
    const path = `model.layers.${index}`;
    const { inputNorm, postAttentionNorm, queryNorm, keyNorm } = block;
    yield { key: `${path}.input_layernorm.weight`, tensor: inputNorm };
    yield { key: `${path}.post_attention_layernorm.weight`, tensor: postAttentionNorm };
    if (queryNorm) yield { key: `${path}.self_attn.q_norm.weight`, tensor: queryNorm };
    if (keyNorm) yield { key: `${path}.self_attn.k_norm.weight`, tensor: keyNorm };
    for (const name of LINEAR_NAMES) {
      yield { key: `${linearPath(index, name)}.weight`, tensor: block.linears[name] };
      const bias = block.biases[name];
      if (bias) yield { key: `${linearPath(index, name)}.bias`, tensor: bias };
    }
  }
  yield { key: 'model.norm.weight', tensor: weights.norm };
  if (!config.tieWordEmbeddings) yield { key: 'lm_head.weight', tensor: weights.head };
  if (weights.score) yield { key: 'score.weight', tensor: weights.score };
}

/** A tensor of zeros for each weight; tied ones share theirs. */
export function zeroWeights(engine: Engine, weights: LlamaWeights): LlamaWeights {
  return mapWeights(weights, ({ shape }) => engine.tensor(shape));
}

/** A copy of the weights, and what frees it; tied ones share theirs. */
export function copyWeights(
  engine: Engine,
  weights: LlamaWeights,
): { readonly weights: LlamaWeights; free(): void } {
  const copies: Tensor[] = [];
  const copied = mapWeights(weights, (tensor) => {
    const copy = engine.tensor(tensor.shape);
    engine.copy(copy, tensor);
    copies.push(copy);
    return copy;
  });
  return { weights: copied, free: () => engine.free(...copies) };
}

/** The weights with `make` of each in its place; called once for tied ones. */
function mapWeights(weights: LlamaWeights, make: (tensor: Tensor) => Tensor): LlamaWeights {
  const optional = (tensor: Tensor | undefined) => tensor && make(tensor);
  const each = <T extends Partial<Record<LinearName, Tensor>>>(tensors: T) =>
    Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, make(tensor)])) as T;
  const embedding = make(weights.embedding);
  return {
    embedding,
    blocks: weights.blocks.map(
      (block): BlockWeights => ({
        inputNorm: make(block.inputNorm),
        postAttentionNorm: make(block.postAttentionNorm),
        queryNorm: optional(block.queryNorm),
        keyNorm: optional(block.keyNorm),
        linears: each(block.linears),
        biases: each(block.biases),
      }),
    ),
    norm: make(weights.norm),
    head: weights.head === weights.embedding ? embedding : make(weights.head),
    score: optional(weights.score),
  };
}

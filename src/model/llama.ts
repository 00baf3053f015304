/**
 * A Llama-family transformer (Touvron et al. 2023), pre-norm blocks of rotary attention with grouped queries and a
 * SwiGLU network, and its gradient with respect to LoRA factors or to all weights. `n = b · t` rows of `b` right-padded sequences.
 */
import type { Engine, Tensor } from '../engine/engine.ts';
import type { LlamaConfig } from './config.ts';
import type { HeadLimits } from './head.ts';
import { headsBackward, headsForward, projectionOf } from './heads.ts';
import { type Linear, linearBackward, linearForward } from './linear.ts';
import type { Adapter } from './lora.ts';
import { normBackward, prepareNormGradients } from './norm.ts';
import type { RopeTables } from './rope.ts';
import { LINEAR_NAMES, type LinearName, type LlamaWeights } from './weights.ts';
import type { Workspace } from './workspace.ts';

/** A model ready to run: weights, rotary tables and working memory on one engine. */
export interface Llama {
  readonly engine: Engine;
  readonly config: LlamaConfig;
  readonly weights: LlamaWeights;
  readonly rope: RopeTables;
  readonly workspace: Workspace;
  /** How much of the logits is there at a time, where memory is short. */
  readonly headLimits?: HeadLimits;
}

/** Token ids u32 `[b·t]` of right-padded sequences, and the position of each, u32 `[b·t]`. */
export interface TokenBatch {
  readonly ids: Tensor;
  readonly positions: Tensor;
  readonly rows: number;
  readonly length: number;
  /** The ids on the host; absent while decoding. */
  readonly sequences?: readonly (readonly number[])[];
}

/** What is trained, and how a training pass differs from inference. */
export interface TrainPass {
  readonly adapter?: Adapter;
  /** The gradient of every weight, added to; absent where the weights are frozen. */
  readonly gradients?: LlamaWeights;
  /** That of a reward model's score head alone, `[1, hidden]`, where its other weights are frozen. */
  readonly scoreGradient?: Tensor;
  readonly dropout?: Dropout;
  /** Keep only the input of each block, and compute the rest again in `backward`: less memory, the same bits. */
  readonly checkpointing?: boolean;
}

/** Dropout of what LoRA factors see. A mask depends on the step, the layer and the text up to a token, nothing else. */
export interface Dropout {
  readonly rate: number;
  readonly key: readonly [number, number];
  readonly step: number;
}

export interface ForwardOptions extends TrainPass {
  /** Keep what `backward` needs. Without it the blocks share their buffers. */
  readonly keep?: boolean;
  readonly cache?: KeyValueCache;
}

/** Keys (rotated) and values of earlier positions, each block's `[b, max, kv_heads, head_dim]`. */
export interface KeyValueCache {
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  /** Where the batch is written: u32 `[b]`. */
  readonly start: Tensor;
  /** The row of the batch that each row of the cache is filled from, u32 `[b]`; the same row when absent. */
  readonly sources?: Tensor;
  /**
   * Given, the batch is one token a row that attends to the first lengths[b] positions of the cache, itself included;
   * u32 `[b]`. Absent, the batch is the sequences' beginning: it fills the cache and attends within itself.
   */
  readonly lengths?: Tensor;
}

/** Pads sequences of ids to one length and uploads them. Padding comes after a sequence, where attention never looks. */
export function tokenBatch({ workspace }: Llama, sequences: readonly (readonly number[])[]): TokenBatch {
  const length = sequences.reduce((longest, ids) => Math.max(longest, ids.length), 0);
  const ids = new Uint32Array(sequences.length * length);
  const positions = new Uint32Array(sequences.length * length);
  sequences.forEach((sequence, row) => {
    ids.set(sequence, row * length);
    for (let t = 0; t < length; t++) positions[row * length + t] = t;
  });
  return {
    ids: workspace.put('ids', ids),
    positions: workspace.put('positions', positions),
    rows: sequences.length,
    length,
    sequences,
  };
}

/** For each row u32 `[n]`, a hash (FNV-1a) of the sequence up to it: equal texts get equal masks in any batch. */
function dropoutStreams({ workspace }: Llama, { sequences = [], length }: TokenBatch): Tensor {
  const streams = new Uint32Array(sequences.length * length);
  sequences.forEach((ids, row) => {
    let hash = 0x811c9dc5;
    ids.forEach((id, t) => {
      hash = Math.imul(hash ^ (id & 0xffff), 0x01000193);
      hash = Math.imul(hash ^ (id >>> 16), 0x01000193);
      streams[row * length + t] = hash;
    });
  });
  return workspace.put('dropoutStreams', streams);
}

function linearOf(
  { weights, workspace }: Llama,
  { adapter, gradients, dropout, cache }: ForwardOptions,
  block: number,
  name: LinearName,
  rows: number,
): Linear {
  const applied = adapter ?? weights.beside;
  const site = block * LINEAR_NAMES.length + LINEAR_NAMES.indexOf(name);
  return {
    weight: weights.blocks[block].linears[name],
    bias: weights.blocks[block].biases[name],
    lora: applied?.pair(block, name),
    scale: applied?.scale ?? 0,
    gradient: gradients?.blocks[block].linears[name],
    biasGradient: gradients?.blocks[block].biases[name],
    dropout: dropout && {
      streams: workspace.take('dropoutStreams', [rows], 'u32'),
      options: { ...dropout, site },
    },
    decoding: cache?.lengths !== undefined,
  };
}

/** Hidden states after the last norm, `[n, hidden]`: what the head multiplies. */
export function forward(model: Llama, batch: TokenBatch, options: ForwardOptions = {}): Tensor {
  const { engine, config, weights, workspace } = model;
  const { keep = false, checkpointing = false, dropout } = options;
  const { hiddenSize } = config;
  const n = batch.rows * batch.length;
  const stream = (name: string) => workspace.take(keep ? name : 'x', [n, hiddenSize]);

  if (dropout) dropoutStreams(model, batch);
  let x = stream('0.x');
  engine.embedding(x, batch.ids, weights.embedding);
  for (let block = 0; block < config.layers; block++) {
    const buffers = keep && !checkpointing ? KEPT(block) : SHARED;
    x = forwardBlock(model, batch, options, block, x, {
      saved: buffers.saved,
      mid: stream(buffers.mid),
      next: stream(`${block + 1}.x`),
    });
  }
  const out = workspace.take('hidden', [n, hiddenSize]);
  engine.rmsnorm(out, x, weights.norm, config.rmsNormEpsilon);
  return out;
}

/** Names of a block's buffers, where each block has its own, and where all share. */
const KEPT = (block: number) => ({ saved: `${block}.`, mid: `${block}.mid` });
const SHARED = { saved: '', mid: 'mid' };

interface BlockBuffers {
  /** What the names of the block's activations begin with. */
  readonly saved: string;
  /** The residual stream after attention and after the block, `[n, hidden]`; where one is x itself, in place. */
  readonly mid: Tensor;
  readonly next: Tensor;
}

/** The residual stream after a block, given that before it, x `[n, hidden]`. */
function forwardBlock(
  model: Llama,
  batch: TokenBatch,
  options: ForwardOptions,
  block: number,
  x: Tensor,
  { saved, mid, next }: BlockBuffers,
): Tensor {
  const { engine, config, weights, workspace } = model;
  const { cache } = options;
  const { heads, keyValueHeads, headDim, hiddenSize, intermediateSize, rmsNormEpsilon } = config;
  const { rows: b, length: t } = batch;
  const n = b * t;
  const scale = 1 / Math.sqrt(headDim);
  const { inputNorm, postAttentionNorm } = weights.blocks[block];
  const window = config.windows[block];
  const take = (name: string, shape: number[]) => workspace.take(saved + name, shape);
  const apply = (name: LinearName, out: Tensor, input: Tensor, accumulate = false) =>
    linearForward(
      engine,
      workspace,
      saved + name,
      out,
      input,
      linearOf(model, options, block, name, n),
      accumulate,
    );

  const normed = take('h1', [n, hiddenSize]);
  engine.rmsnorm(normed, x, inputNorm, rmsNormEpsilon);
  apply('q_proj', take(projectionOf(model, 'q'), [n, heads * headDim]), normed);
  apply('k_proj', take(projectionOf(model, 'k'), [n, keyValueHeads * headDim]), normed);
  apply('v_proj', take('v', [n, keyValueHeads * headDim]), normed);
  headsForward(model, block, 'q', batch.positions, take);
  headsForward(model, block, 'k', batch.positions, take);
  const keys = take('k', [b, t, keyValueHeads, headDim]);
  const values = take('v', [b, t, keyValueHeads, headDim]);
  if (cache) {
    fillCache(model, cache, cache.keys[block], keys);
    fillCache(model, cache, cache.values[block], values);
  }
  if (cache?.lengths) {
    const [out, query] = [take('attn', [b, heads, headDim]), take('q', [b, heads, headDim])];
    engine.attentionCached(out, query, cache.keys[block], cache.values[block], cache.lengths, scale, window);
  } else {
    const [out, query] = [take('attn', [b, t, heads, headDim]), take('q', [b, t, heads, headDim])];
    engine.attention(out, take('lse', [b, heads, t]), query, keys, values, scale, window);
  }

  const middle = nextStream(engine, x, mid);
  apply('o_proj', middle, take('attn', [n, heads * headDim]), true);

  const ready = take('h2', [n, hiddenSize]);
  engine.rmsnorm(ready, middle, postAttentionNorm, rmsNormEpsilon);
  const gate = take('gate', [n, intermediateSize]);
  const up = take('up', [n, intermediateSize]);
  const active = take('act', [n, intermediateSize]);
  apply('gate_proj', gate, ready);
  apply('up_proj', up, ready);
  engine.swiglu(active, gate, up);

  const out = nextStream(engine, middle, next);
  apply('down_proj', out, active, true);
  return out;
}

/** target `[rows of the cache, max, kv_heads, head_dim]` takes x `[b, t, kv_heads, head_dim]`. */
function fillCache({ engine, workspace }: Llama, cache: KeyValueCache, target: Tensor, x: Tensor): void {
  let rows = x;
  if (cache.sources) {
    const [b, ...shape] = x.shape;
    const size = shape.reduce((product, length) => product * length, 1);
    const count = target.shape[0];
    const expanded = workspace.take('expanded', [count, size]);
    engine.gatherRows(expanded, engine.view(x, 0, [b, size]), cache.sources);
    rows = workspace.take('expanded', [count, ...shape]);
  }
  engine.cacheWrite(target, rows, cache.start);
}

/** The residual stream goes on in `next`; where the two are one buffer, in place. */
function nextStream(engine: Engine, x: Tensor, next: Tensor): Tensor {
  if (next !== x) engine.copy(next, x);
  return next;
}

/**
 * Adds the gradients of what the pass trains, given that of the hidden states, dhidden `[n, hidden]`. The forward pass of
 * the same batch with `keep` and the same pass must have come last.
 */
export function backward(model: Llama, batch: TokenBatch, pass: TrainPass, dhidden: Tensor): void {
  const { engine, config, weights, workspace } = model;
  const { heads, keyValueHeads, headDim, hiddenSize, intermediateSize } = config;
  const { rows: b, length: t } = batch;
  const n = b * t;
  const scale = 1 / Math.sqrt(headDim);
  const scratch = (name: string, shape: number[]) => workspace.take(name, shape);
  const { adapter, gradients, checkpointing = false } = pass;
  const firstBlock = gradients ? 0 : (adapter?.firstBlock ?? config.layers);
  if (gradients) {
    prepareNormGradients(model);
    workspace.put('onesOfRows', new Float32Array(n).fill(1), [1, n]);
  }

  const dx = scratch('dx', [n, hiddenSize]);
  engine.zero(dx);
  const streamOf = (block: number) => workspace.take(`${block}.x`, [n, hiddenSize]);
  normBackward(model, dx, dhidden, streamOf(config.layers), weights.norm, gradients?.norm);
  for (let block = config.layers - 1; block >= firstBlock; block--) {
    const { saved, mid } = checkpointing ? SHARED : KEPT(block);
    const middle = workspace.take(mid, [n, hiddenSize]);
    // The last block's activations are still in the buffers that all share.
    if (checkpointing && block < config.layers - 1) {
      const next = scratch('recomputed', [n, hiddenSize]);
      forwardBlock(model, batch, pass, block, streamOf(block), { saved, mid: middle, next });
    }
    const gradient = gradients?.blocks[block];
    const { inputNorm, postAttentionNorm } = weights.blocks[block];
    const window = config.windows[block];
    const kept = (name: string, shape: number[]) => workspace.take(saved + name, shape);
    const apply = (
      name: LinearName,
      dinp: Tensor | undefined,
      dout: Tensor,
      input: Tensor,
      accumulate = false,
    ) =>
      linearBackward(
        engine,
        workspace,
        saved + name,
        dinp,
        dout,
        input,
        linearOf(model, pass, block, name, n),
        accumulate,
      );

    const dactive = scratch('dact', [n, intermediateSize]);
    apply('down_proj', dactive, dx, kept('act', [n, intermediateSize]));
    const dgate = scratch('dgate', [n, intermediateSize]);
    const dup = scratch('dup', [n, intermediateSize]);
    engine.swigluBackward(
      dgate,
      dup,
      dactive,
      kept('gate', [n, intermediateSize]),
      kept('up', [n, intermediateSize]),
    );
    const dnormed = scratch('dnormed', [n, hiddenSize]);
    apply('gate_proj', dnormed, dgate, kept('h2', [n, hiddenSize]));
    apply('up_proj', dnormed, dup, kept('h2', [n, hiddenSize]), true);
    normBackward(model, dx, dnormed, middle, postAttentionNorm, gradient?.postAttentionNorm);

    apply('o_proj', scratch('dattn', [n, heads * headDim]), dx, kept('attn', [n, heads * headDim]));
    const [queries, groups] = [
      [b, t, heads, headDim],
      [b, t, keyValueHeads, headDim],
    ];
    engine.attentionBackward(
      scratch('dq', queries),
      scratch('dk', groups),
      scratch('dv', groups),
      scratch('dattn', queries),
      kept('q', queries),
      kept('k', groups),
      kept('v', groups),
      kept('attn', queries),
      kept('lse', [b, heads, t]),
      scale,
      window,
    );
    const dq = headsBackward(model, block, 'q', batch.positions, kept, scratch, gradient?.queryNorm);
    const dk = headsBackward(model, block, 'k', batch.positions, kept, scratch, gradient?.keyNorm);
    // Where the embedding is frozen, only the factors' own gradients count below the first adapted block.
    const dinput = gradients || block > firstBlock ? dnormed : undefined;
    const input = kept('h1', [n, hiddenSize]);
    apply('q_proj', dinput, dq, input);
    apply('k_proj', dinput, dk, input, true);
    apply('v_proj', dinput, scratch('dv', [n, keyValueHeads * headDim]), input, true);
    if (dinput) normBackward(model, dx, dinput, streamOf(block), inputNorm, gradient?.inputNorm);
  }
  if (gradients) embeddingBackward(model, batch, gradients.embedding, dx);
}

/** Adds to the embedding's gradient `[vocab, hidden]` that of the rows it was looked up for, dx `[n, hidden]`. */
function embeddingBackward(
  { engine, workspace }: Llama,
  { sequences = [], length }: TokenBatch,
  gradient: Tensor,
  dx: Tensor,
): void {
  const placesOf = new Map<number, number[]>();
  sequences.forEach((ids, row) => {
    ids.forEach((id, t) => {
      const places = placesOf.get(id);
      if (places) places.push(row * length + t);
      else placesOf.set(id, [row * length + t]);
    });
  });
  const lists = [...placesOf.values()];
  const starts = new Uint32Array(lists.length + 1);
  for (const [i, list] of lists.entries()) starts[i + 1] = starts[i] + list.length;
  engine.scatterRows(
    gradient,
    dx,
    workspace.put('lookedUp', Uint32Array.from(placesOf.keys())),
    workspace.put('lookupStarts', starts),
    workspace.put('lookupPlaces', Uint32Array.from(lists.flat())),
  );
}

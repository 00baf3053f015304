/**
 * A Llama-family transformer (Touvron et al. 2023), pre-norm blocks of rotary attention with grouped queries and a
 * SwiGLU network, and its gradient with respect to LoRA factors. `n = b · t` rows of `b` right-padded sequences.
 */
import type { Engine, Tensor } from '../engine/engine.ts';
import type { LlamaConfig } from './config.ts';
import { headsBackward, headsForward, projectionOf } from './heads.ts';
import { type Linear, linearBackward, linearForward } from './linear.ts';
import type { Adapter } from './lora.ts';
import type { RopeTables } from './rope.ts';
import type { LinearName, LlamaWeights } from './weights.ts';
import type { Workspace } from './workspace.ts';

export interface Llama {
  readonly engine: Engine;
  readonly config: LlamaConfig;
  readonly weights: LlamaWeights;
  readonly rope: RopeTables;
  readonly workspace: Workspace;
}

/** Token ids u32 `[b·t]` of right-padded sequences, and the position of each, u32 `[b·t]`. */
export interface TokenBatch {
  readonly ids: Tensor;
  readonly positions: Tensor;
  readonly rows: number;
  readonly length: number;
}

export interface ForwardOptions {
  readonly adapter?: Adapter;
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
  };
}

export function linearOf(
  { weights }: Llama,
  adapter: Adapter | undefined,
  block: number,
  name: LinearName,
): Linear {
  return {
    weight: weights.blocks[block].linears[name],
    bias: weights.blocks[block].biases[name],
    lora: adapter?.pair(block, name),
    scale: adapter?.scale ?? 0,
  };
}

/** Hidden states after the last norm, `[n, hidden]`: what the head multiplies. */
export function forward(model: Llama, batch: TokenBatch, options: ForwardOptions = {}): Tensor {
  const { engine, config, weights, workspace } = model;
  const { adapter, keep = false, cache } = options;
  const { heads, keyValueHeads, headDim, hiddenSize, intermediateSize, rmsNormEpsilon } = config;
  const { rows: b, length: t } = batch;
  const n = b * t;
  const scale = 1 / Math.sqrt(headDim);
  const stream = (name: string) => workspace.take(keep ? name : 'x', [n, hiddenSize]);

  let x = stream('0.x');
  engine.embedding(x, batch.ids, weights.embedding);
  for (let block = 0; block < config.layers; block++) {
    const { inputNorm, postAttentionNorm } = weights.blocks[block];
    const window = config.windows[block];
    const saved = keep ? `${block}.` : '';
    const take = (name: string, shape: number[]) => workspace.take(saved + name, shape);
    const apply = (name: LinearName, out: Tensor, input: Tensor, accumulate = false) =>
      linearForward(
        engine,
        workspace,
        saved + name,
        out,
        input,
        linearOf(model, adapter, block, name),
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
      engine.attentionCached(
        out,
        query,
        cache.keys[block],
        cache.values[block],
        cache.lengths,
        scale,
        window,
      );
    } else {
      const [out, query] = [take('attn', [b, t, heads, headDim]), take('q', [b, t, heads, headDim])];
      engine.attention(out, take('lse', [b, heads, t]), query, keys, values, scale, window);
    }

    x = nextStream(engine, x, stream(`${block}.mid`));
    apply('o_proj', x, take('attn', [n, heads * headDim]), true);

    const ready = take('h2', [n, hiddenSize]);
    engine.rmsnorm(ready, x, postAttentionNorm, rmsNormEpsilon);
    const gate = take('gate', [n, intermediateSize]);
    const up = take('up', [n, intermediateSize]);
    const active = take('act', [n, intermediateSize]);
    apply('gate_proj', gate, ready);
    apply('up_proj', up, ready);
    engine.swiglu(active, gate, up);

    x = nextStream(engine, x, stream(`${block + 1}.x`));
    apply('down_proj', x, active, true);
  }
  const out = workspace.take('hidden', [n, hiddenSize]);
  engine.rmsnorm(out, x, weights.norm, rmsNormEpsilon);
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
 * Adds the gradients of the adapter's factors, given that of the hidden states, dhidden `[n, hidden]`. The forward
 * pass of the same batch with `keep` and the same adapter must have come last.
 */
export function backward(model: Llama, batch: TokenBatch, adapter: Adapter, dhidden: Tensor): void {
  const { engine, config, weights, workspace } = model;
  const { heads, keyValueHeads, headDim, hiddenSize, intermediateSize, rmsNormEpsilon } = config;
  const { rows: b, length: t } = batch;
  const n = b * t;
  const scale = 1 / Math.sqrt(headDim);
  const scratch = (name: string, shape: number[]) => workspace.take(name, shape);

  const dx = scratch('dx', [n, hiddenSize]);
  engine.zero(dx);
  engine.rmsnormBackward(
    dx,
    dhidden,
    workspace.take(`${config.layers}.x`, [n, hiddenSize]),
    weights.norm,
    rmsNormEpsilon,
  );
  for (let block = config.layers - 1; block >= adapter.firstBlock; block--) {
    const { inputNorm, postAttentionNorm } = weights.blocks[block];
    const window = config.windows[block];
    const kept = (name: string, shape: number[]) => workspace.take(`${block}.${name}`, shape);
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
        `${block}.${name}`,
        dinp,
        dout,
        input,
        linearOf(model, adapter, block, name),
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
    engine.rmsnormBackward(dx, dnormed, kept('mid', [n, hiddenSize]), postAttentionNorm, rmsNormEpsilon);

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
    const dq = headsBackward(model, block, 'q', batch.positions, kept, scratch);
    const dk = headsBackward(model, block, 'k', batch.positions, kept, scratch);
    // The embedding is frozen: below the first adapted block only the factors' own gradients count.
    const dinput = block > adapter.firstBlock ? dnormed : undefined;
    const input = kept('h1', [n, hiddenSize]);
    apply('q_proj', dinput, dq, input);
    apply('k_proj', dinput, dk, input, true);
    apply('v_proj', dinput, scratch('dv', [n, keyValueHeads * headDim]), input, true);
    if (dinput) engine.rmsnormBackward(dx, dinput, kept('x', [n, hiddenSize]), inputNorm, rmsNormEpsilon);
  }
}

import type { WeightFormat } from './formats.ts';

/**
 * The operations a policy needs. The model is written against this interface alone, so that a second
 * implementation runs it unchanged.
 *
 * Conventions
 * - Tensors are dense, row-major, f32 or u32, and live on the engine's device.
 * - An operation writes its first argument(s) and reads the rest. Outputs are overwritten unless the
 *   description says "adds to". An output never shares memory with an input unless the description allows it.
 * - Operations, `write` and `read` take effect in program order. Only `read` waits for the device.
 * - A row of the result never depends on how many other rows the call holds, so batching does not change bits.
 * - Shapes that do not fit throw `op: expected …, got …` before anything is recorded.
 * - Weights in a format of fewer bits (formats.ts) are read where an operation says so, as the f32 they stand for: the
 *   result has the same bits as with those.
 */
export interface Tensor {
  readonly shape: readonly number[];
  readonly dtype: 'f32' | 'u32' | WeightFormat;
}

/** Identity of the device behind an engine, as recorded in a run's manifest. */
export interface DeviceInfo {
  readonly engine: string;
  readonly vendor: string;
  readonly device: string;
  readonly description: string;
}

/** Bytes of a device, by the engine's own count. */
export interface MemoryUse {
  /** Of the tensors there are. */
  readonly live: number;
  /** Taken from the device, with what is kept to be used again. */
  readonly held: number;
  /** The most that was ever held. */
  readonly peak: number;
}

/** What a device can hold. */
export interface MemoryLimits {
  /** Bytes of the largest tensor that every operation takes. */
  readonly tensor: number;
  /** Bytes of the largest tensor of weights, of their gradients and of their moments: see `Engine.tensor`. */
  readonly weights: number;
  /** Bytes of all together; undefined where the device does not say and nobody set a budget. */
  readonly total?: number;
}

/** Which product `matmul` computes. */
export interface MatmulOptions {
  /** Use aᵀ: `a` is stored `[k, m]`. */
  readonly transposeA?: boolean;
  /** Use bᵀ: `b` is stored `[n, k]`, the layout of a linear layer's weight `[out, in]`. */
  readonly transposeB?: boolean;
  /** Factor on the product; 1 by default. */
  readonly scale?: number;
  /** Add to `out` in place of overwriting it. */
  readonly accumulate?: boolean;
  /** Made for few rows, as in decoding. The sums may have another order, which is the same for any number of rows. */
  readonly fewRows?: boolean;
}

/** How the next token is drawn of the logits. */
export interface SampleOptions {
  /** 0 takes the most likely token (lowest id on a tie). */
  readonly temperature: number;
  /** Keep the k most likely tokens (all that tie with the k-th); 0 keeps all. */
  readonly topK: number;
  /** Keep the smallest set of most likely tokens whose probability reaches topP, after topK; 1 keeps all. */
  readonly topP: number;
  /** Two 32-bit words: the key of the counter-based generator (src/random.ts). */
  readonly key: readonly [number, number];
}

/** One step of AdamW (Loshchilov & Hutter 2019), with torch's conventions. */
export interface AdamWOptions {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** 1 − beta1ᵗ and 1 − beta2ᵗ at this step t = 1, 2, … */
  readonly biasCorrection1: number;
  readonly biasCorrection2: number;
  /** Gradients are scaled by min(1, maxGradNorm / (norm + 1e-6)) as torch does; Infinity leaves them. */
  readonly maxGradNorm: number;
}

/** Which columns of `[n, vocab]` a tensor of logits holds: as many as it has, from `start` on. */
export interface VocabColumns {
  readonly start: number;
  readonly vocab: number;
}

/** Losses of preference pairs, by TRL's names: Rafailov et al. 2023, Azar et al. 2023, Zhao et al. 2023. */
export type DpoLoss = 'sigmoid' | 'ipo' | 'hinge';

/** The number by which kernels know a loss. */
export const DPO_LOSSES: Readonly<Record<DpoLoss, number>> = { sigmoid: 0, ipo: 1, hinge: 2 };

/** The loss on a pair: its kind and β. */
export interface DpoOptions {
  readonly loss: DpoLoss;
  readonly beta: number;
  /** Factor on the gradient. */
  readonly scale: number;
}

/** The clipped loss of policy gradients, and its KL term. */
export interface PolicyGradientOptions {
  /** The ratio of probabilities is clipped to 1 − epsilonLow … 1 + epsilonHigh. */
  readonly epsilonLow: number;
  readonly epsilonHigh: number;
  /** Weight of the KL divergence from the reference. */
  readonly beta: number;
  /** Multiply the divergence by the ratio, so that its gradient is that of the KL divergence itself (DeepSeek-V3.2, 2025). */
  readonly weighKl: boolean;
}

/** Which elements are dropped. */
export interface DropoutOptions {
  /** Part of the elements that become zero; the rest is scaled by 1 / (1 − rate). */
  readonly rate: number;
  /** Two 32-bit words: the key of the counter-based generator (src/random.ts). */
  readonly key: readonly [number, number];
  /** Names the layer: its masks differ from those of the others. */
  readonly site: number;
  /** Number of the optimisation step. */
  readonly step: number;
  /** Add to `out` in place of overwriting it. */
  readonly accumulate?: boolean;
}

/**
 * The operations that a policy needs, on a device: `createCpuEngine` and `createWebGpuEngine` implement it.
 * Operations are queued in order; reading waits for them.
 */
export interface Engine {
  readonly info: DeviceInfo;
  /** Whether the device computes on its own while the host goes on, so that work may be queued ahead of what is read. */
  readonly asynchronous: boolean;

  // Memory

  readonly limits: MemoryLimits;
  memory(): MemoryUse;

  /**
   * A new tensor of zeros. A matrix larger than `limits.tensor` is held in pieces of whole rows. It may be the table of
   * `embedding` and `scatterRows`, b and out of `matmul`, and what `sumSquares` and `adamw` take; it can be written, read,
   * copied, zeroed and viewed. The bits are the same.
   */
  tensor(shape: readonly number[], dtype?: 'f32' | 'u32'): Tensor;
  /** A new tensor with these values. */
  upload(data: Float32Array | Uint32Array, shape: readonly number[]): Tensor;
  /** A new tensor of frozen weights from the bytes of their format; nothing writes to it. */
  uploadWeights(bytes: Uint8Array, shape: readonly number[], format: WeightFormat): Tensor;
  /** Overwrites a tensor's values. */
  write(tensor: Tensor, data: Float32Array | Uint32Array): void;
  /** Copies `source` over `out` on the device; same dtype and number of elements. */
  copy(out: Tensor, source: Tensor): void;
  /** Sets all elements to zero. */
  zero(out: Tensor): void;
  /** A window on `tensor` that starts at element `offset`, a multiple of `VIEW_ALIGNMENT`; shares its memory. */
  view(tensor: Tensor, offset: number, shape: readonly number[]): Tensor;
  /** Returns tensors (not views) to the engine's pool. A freed tensor must not be used again. */
  free(...tensors: Tensor[]): void;
  read(tensor: Tensor): Promise<Float32Array>;
  readU32(tensor: Tensor): Promise<Uint32Array>;
  /** Submits what is recorded so far without waiting. */
  flush(): void;
  /** Releases the device. */
  destroy(): void;

  // Transformer

  /** out `[n, d]` = table `[vocab, d]`, f32 or weights in a format, at ids u32 `[n]`. */
  embedding(out: Tensor, ids: Tensor, table: Tensor): void;
  /** out `[b, d]` = x `[n, d]` at rows u32 `[b]`. */
  gatherRows(out: Tensor, x: Tensor, rows: Tensor): void;
  /** out `[n, d]` = x / sqrt(mean(x²) + epsilon) · weight `[d]`. */
  rmsnorm(out: Tensor, x: Tensor, weight: Tensor, epsilon: number): void;
  /** Adds to dinp `[n, d]` the gradient through rmsnorm of dout `[n, d]`. */
  rmsnormBackward(dinp: Tensor, dout: Tensor, x: Tensor, weight: Tensor, epsilon: number): void;
  /** Adds to out `[d]` Σ_n a `[n, d]` · b `[n, d]`: the gradient of a norm's weight. */
  columnProducts(out: Tensor, a: Tensor, b: Tensor): void;
  /**
   * Adds to row ids[i] of table `[vocab, d]` the rows of x `[n, d]` that places u32 `[p]` names from starts[i] up to
   * starts[i + 1], in their order: the gradient of an embedding. ids u32 `[u]`, all different; starts u32 `[u + 1]`.
   */
  scatterRows(table: Tensor, x: Tensor, ids: Tensor, starts: Tensor, places: Tensor): void;
  /**
   * out `[n, d]` = x `[n, d]` · mask / (1 − rate). Element (i, j) stays where word j mod 4 of Philox4x32-10 at counter
   * (streams[i], ⌊j / 4⌋, site, step) is at least rate · 2³², by its upper 24 bits; streams u32 `[n]`. The mask's own
   * gradient: the same call on the gradient.
   */
  dropout(out: Tensor, x: Tensor, streams: Tensor, options: DropoutOptions): void;
  /** out `[m, n]` = scale · a `[m, k]` · b `[k, n]`, which may be weights in a format unless a is transposed. */
  matmul(out: Tensor, a: Tensor, b: Tensor, options?: MatmulOptions): void;
  /**
   * Rotary position embedding in place (RoFormer, the half-split layout of Hugging Face): x `[n, heads, head_dim]`,
   * positions u32 `[n]`, cos and sin `[max_position, head_dim / 2]`. `inverse` rotates back: the backward pass.
   */
  rope(x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor, inverse?: boolean): void;
  /**
   * Causal attention with grouped queries: out, q `[b, t, heads, head_dim]`, k, v `[b, t, kv_heads, head_dim]`,
   * lse `[b, heads, t]` the log-sum-exp of each row of scale · q·k. Query i sees the keys i − window < j ≤ i (sliding
   * window attention, Beltagy et al. 2020); all keys up to its own without a window.
   */
  attention(out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, scale: number, window?: number): void;
  /** Gradients dq, dk, dv of `attention`, given its inputs, out and lse. */
  attentionBackward(
    dq: Tensor,
    dk: Tensor,
    dv: Tensor,
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    scale: number,
    window?: number,
  ): void;
  /** cache `[b, max, kv_heads, head_dim]` at positions start[b] + 0 … t − 1 = x `[b, t, kv_heads, head_dim]`; start u32 `[b]`. */
  cacheWrite(cache: Tensor, x: Tensor, start: Tensor): void;
  /**
   * Attention of one query per row, q and out `[b, heads, head_dim]`, over the first lengths[b] positions of the caches,
   * or the last `window` of them.
   */
  attentionCached(
    out: Tensor,
    q: Tensor,
    kCache: Tensor,
    vCache: Tensor,
    lengths: Tensor,
    scale: number,
    window?: number,
  ): void;
  /** out = silu(gate) · up, all `[n, d]`. */
  swiglu(out: Tensor, gate: Tensor, up: Tensor): void;
  swigluBackward(dgate: Tensor, dup: Tensor, dout: Tensor, gate: Tensor, up: Tensor): void;
  /** Adds x to out, same shape. */
  add(out: Tensor, x: Tensor): void;
  /** Adds bias `[d]` to every row of out `[n, d]`. Its gradient is a matmul: onesᵀ `[1, n]` · dout. */
  addBias(out: Tensor, bias: Tensor): void;

  // Log-probabilities and losses

  /**
   * logps `[n]` = log softmax(logits `[n, vocab]`)[targets u32 `[n]`]; lse `[n]` the log-sum-exp of each row. A large
   * vocabulary comes in parts, `columns` of it at a time and in order: lse is that of the columns so far (Milakov &
   * Gimelshein 2018), and logps is whole after the last.
   */
  tokenLogps(logps: Tensor, lse: Tensor, logits: Tensor, targets: Tensor, columns?: VocabColumns): void;
  /** Replaces logits `[n, vocab]`, or `columns` of it, by dlogps `[n]` · (onehot(targets) − softmax(logits)). */
  tokenLogpsBackward(
    logits: Tensor,
    dlogps: Tensor,
    lse: Tensor,
    targets: Tensor,
    columns?: VocabColumns,
  ): void;
  /**
   * hits `[n]` = 1 where targets u32 `[n]` is the first of the largest logits `[n, vocab]` of its row, else 0. In parts as
   * in `tokenLogps`: most `[n]` is the largest logit of the columns so far, and hits is whole after the last.
   */
  topTargets(hits: Tensor, most: Tensor, logits: Tensor, targets: Tensor, columns?: VocabColumns): void;
  /** out `[b]` = Σ_t x `[b, t]` · mask `[b, t]`. */
  maskedSum(out: Tensor, x: Tensor, mask: Tensor): void;
  /** dinp `[b, t]` = dout `[b]` · mask `[b, t]`. */
  maskedSumBackward(dinp: Tensor, dout: Tensor, mask: Tensor): void;
  /**
   * Losses of preferences. Rows 0 … p − 1 of logps and refLogps `[2p]` are chosen, p … 2p − 1 rejected;
   * δ = (logps_c − ref_c) − (logps_r − ref_r), q = labels `[p]`. losses `[p]`:
   * sigmoid (Rafailov et al. 2023, eq. 7, with soft labels) −q log σ(beta δ) − (1 − q) log σ(−beta δ);
   * ipo (Azar et al. 2023, eq. 17) (δ − 1 / (2 beta))²; hinge (Zhao et al. 2023) max(0, 1 − beta δ): both take no
   * label. dlogps `[2p]` = scale · d losses / d logps.
   */
  dpo(
    losses: Tensor,
    dlogps: Tensor,
    logps: Tensor,
    refLogps: Tensor,
    labels: Tensor,
    options: DpoOptions,
  ): void;
  /**
   * Clipped policy gradient with a penalty (Schulman et al. 2017, eq. 7; Shao et al. 2024, eq. 3), all tensors `[n]`.
   * With ρ = exp(logps − oldLogps) and d = refLogps − logps: losses = weights · (−min(ρ A, clip(ρ) A) +
   * beta · c · (exp(d) − d − 1)), A = advantages, c = ρ where weighKl, else 1; dlogps = d losses / d logps.
   */
  policyGradient(
    losses: Tensor,
    dlogps: Tensor,
    logps: Tensor,
    oldLogps: Tensor,
    refLogps: Tensor,
    advantages: Tensor,
    weights: Tensor,
    options: PolicyGradientOptions,
  ): void;

  // Optimizer

  /** out `[1]` = Σ x². */
  sumSquares(out: Tensor, x: Tensor): void;
  /** AdamW (Loshchilov & Hutter 2019) in place on param, m and v; gradSquares `[1]` is Σ grad² over all parameters. */
  adamw(param: Tensor, grad: Tensor, m: Tensor, v: Tensor, gradSquares: Tensor, options: AdamWOptions): void;

  // Generation

  /**
   * next u32 `[b]`: one token per row of logits `[b, vocab]`. The uniform of row b is the first word of
   * Philox4x32-10 at counter (streams[b, 0], streams[b, 1], lengths[b], 0); streams u32 `[b, 2]`, lengths u32 `[b]`.
   * logps `[b]` is the log-probability of the token in the distribution it was drawn from: 0 at temperature 0.
   */
  sample(
    next: Tensor,
    logps: Tensor,
    logits: Tensor,
    streams: Tensor,
    lengths: Tensor,
    options: SampleOptions,
  ): void;
  /**
   * Repetition penalty (CTRL, Keskar et al. 2019, section 4.1, as transformers does it) in place on logits `[b, vocab]`:
   * of every token among the first lengths[b] of tokens u32 `[b, max]`, once, a logit above 0 is divided by `penalty`
   * and one below 0 multiplied by it.
   */
  repetitionPenalty(logits: Tensor, tokens: Tensor, lengths: Tensor, penalty: number): void;
  /**
   * Appends next u32 `[b]` to tokens u32 `[b, max]` at lengths[b] for rows that are not finished, and counts it in
   * lengths. A row is finished (1 in finished u32 `[b]`) after a token of eos u32 `[e]` or when it is full. Then
   * current[b] is the row's last token and positions[b] its position: the inputs of the next decoding step.
   */
  advance(
    tokens: Tensor,
    lengths: Tensor,
    finished: Tensor,
    current: Tensor,
    positions: Tensor,
    next: Tensor,
    eos: Tensor,
  ): void;
}

/** Views start at multiples of this many elements: WebGPU binds storage at multiples of 256 bytes. */
export const VIEW_ALIGNMENT = 64;

/** The operations on memory, which each engine implements apart from those that compute. */
export type TensorOperation =
  | 'limits'
  | 'memory'
  | 'tensor'
  | 'upload'
  | 'uploadWeights'
  | 'write'
  | 'copy'
  | 'zero'
  | 'view'
  | 'free'
  | 'read'
  | 'readU32'
  | 'flush'
  | 'destroy';

/**
 * The families' forward passes in plain f64 loops, written from their definitions: config.json and named tensors go in,
 * logits come out. Shares nothing with src/model; slow on purpose.
 */
export type Config = Readonly<Record<string, unknown>>;
export type Weights = ReadonlyMap<
  string,
  { readonly shape: readonly number[]; readonly data: ArrayLike<number> }
>;

type Rows = number[][];

/** Logits `[t][vocab]` of one sequence. */
export function plainLogits(config: Config, weights: Weights, ids: readonly number[]): Rows {
  const c = config as Record<string, number>;
  const type = config.model_type as string;
  const heads = c.num_attention_heads;
  const keyHeads = c.num_key_value_heads ?? heads;
  const dim = c.head_dim ?? c.hidden_size / heads;
  const epsilon = c.rms_norm_eps;
  const vector = (name: string) => Array.from(weights.get(name)!.data);
  const linear = (x: Rows, path: string): Rows => {
    const bias = weights.get(`${path}.bias`)?.data;
    return times(x, weights.get(`${path}.weight`)!).map((row) => row.map((y, i) => y + (bias?.[i] ?? 0)));
  };

  let x: Rows = ids.map((id) => rowOf(weights.get('model.embed_tokens.weight')!, id));
  for (let layer = 0; layer < c.num_hidden_layers; layer++) {
    const path = `model.layers.${layer}`;
    const h = x.map((row) => rmsNorm(row, vector(`${path}.input_layernorm.weight`), epsilon));
    const split = (name: 'q' | 'k' | 'v') =>
      linear(h, `${path}.self_attn.${name}_proj`).map((row, t) => {
        const parts: Rows = [];
        for (let start = 0; start < row.length; start += dim) parts.push(row.slice(start, start + dim));
        if (name === 'v') return parts;
        const normed =
          type === 'qwen3'
            ? parts.map((part) => rmsNorm(part, vector(`${path}.self_attn.${name}_norm.weight`), epsilon))
            : parts;
        return usesRope(config, layer) ? normed.map((part) => rotate(part, t, config)) : normed;
      });
    const [q, k, v] = [split('q'), split('k'), split('v')];
    const window = windowOf(config, layer);
    const mixed = ids.map((_, i) =>
      Array.from({ length: heads }, (_, head) => {
        const group = Math.floor(head / (heads / keyHeads));
        const seen = ids.map((_, j) => j).filter((j) => i - window < j && j <= i);
        const scores = seen.map((j) => dot(q[i][head], k[j][group]) / Math.sqrt(dim));
        const most = Math.max(...scores);
        const powers = scores.map((score) => Math.exp(score - most));
        const total = powers.reduce((sum, p) => sum + p, 0);
        return Array.from({ length: dim }, (_, d) =>
          seen.reduce((sum, j, s) => sum + (powers[s] / total) * v[j][group][d], 0),
        );
      }).flat(),
    );
    x = plus(x, linear(mixed, `${path}.self_attn.o_proj`));
    const n = x.map((row) => rmsNorm(row, vector(`${path}.post_attention_layernorm.weight`), epsilon));
    const [gate, up] = [linear(n, `${path}.mlp.gate_proj`), linear(n, `${path}.mlp.up_proj`)];
    const active = gate.map((row, t) => row.map((g, i) => (g / (1 + Math.exp(-g))) * up[t][i]));
    x = plus(x, linear(active, `${path}.mlp.down_proj`));
  }
  const last = x.map((row) => rmsNorm(row, vector('model.norm.weight'), epsilon));
  const tied = config.tie_word_embeddings ?? type === 'smollm3';
  return times(last, weights.get(tied ? 'model.embed_tokens.weight' : 'lm_head.weight')!);
}

/** Σ log p of the tokens after the first `from` of `ids`. */
export function plainLogps(config: Config, weights: Weights, ids: readonly number[], from: number): number {
  const logits = plainLogits(config, weights, ids);
  let sum = 0;
  for (let t = from; t < ids.length; t++) {
    const row = logits[t - 1];
    const most = Math.max(...row);
    const total = row.reduce((all, z) => all + Math.exp(z - most), 0);
    sum += row[ids[t]] - most - Math.log(total);
  }
  return sum;
}

function rowOf(
  { shape, data }: { shape: readonly number[]; data: ArrayLike<number> },
  row: number,
): number[] {
  return Array.from({ length: shape[1] }, (_, i) => data[row * shape[1] + i]);
}

/** x · Wᵀ. */
function times(x: Rows, weight: { shape: readonly number[]; data: ArrayLike<number> }): Rows {
  const columns = Array.from({ length: weight.shape[0] }, (_, i) => rowOf(weight, i));
  return x.map((row) => columns.map((column) => dot(row, column)));
}

function plus(a: Rows, b: Rows): Rows {
  return a.map((row, t) => row.map((value, i) => value + b[t][i]));
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

function rmsNorm(x: readonly number[], weight: readonly number[], epsilon: number): number[] {
  const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  return x.map((value, i) => (value / Math.sqrt(mean + epsilon)) * weight[i]);
}

/** SmolLM3's layers without position. */
function usesRope(config: Config, layer: number): boolean {
  if (config.model_type !== 'smollm3') return true;
  const listed = config.no_rope_layers as number[] | undefined;
  return listed ? listed[layer] === 1 : (layer + 1) % 4 !== 0;
}

function windowOf(config: Config, layer: number): number {
  const window = (config.sliding_window as number | null) ?? Infinity;
  if (config.model_type === 'mistral') return window;
  if (config.use_sliding_window !== true) return Infinity;
  const types = config.layer_types as string[] | undefined;
  if (types) return types[layer] === 'sliding_attention' ? window : Infinity;
  return layer >= (config.max_window_layers as number) ? window : Infinity;
}

/** Rotates the pairs (i, i + d/2) by position · frequency. */
function rotate(x: readonly number[], position: number, config: Config): number[] {
  const half = x.length / 2;
  const given = (config.rope_parameters ?? config.rope_scaling ?? {}) as Record<string, number | string>;
  const theta = Number(given.rope_theta ?? config.rope_theta);
  const out = [...x];
  for (let i = 0; i < half; i++) {
    const angle = position * scaled(1 / theta ** ((2 * i) / x.length), given);
    out[i] = x[i] * Math.cos(angle) - x[i + half] * Math.sin(angle);
    out[i + half] = x[i + half] * Math.cos(angle) + x[i] * Math.sin(angle);
  }
  return out;
}

/** Llama 3.1's scaling is by wavelength: long ones are slowed down, short ones left, those between blended. */
function scaled(frequency: number, rope: Record<string, number | string>): number {
  const factor = Number(rope.factor);
  if (rope.rope_type === 'linear' || rope.type === 'linear') return frequency / factor;
  if (rope.rope_type !== 'llama3') return frequency;
  const [low, high] = [Number(rope.low_freq_factor), Number(rope.high_freq_factor)];
  const old = Number(rope.original_max_position_embeddings);
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < old / high) return frequency;
  if (wavelength > old / low) return frequency / factor;
  const smooth = (old / wavelength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/**
 * The Engine in plain f64 loops, straight from the formulas: the oracle for every kernel, and an engine of its own
 * for tests of the model. Slow on purpose. It stores f64, or f32 where a test asks what leaves the device and comes
 * back unchanged; `values` gives what is stored.
 */
import type {
  AdamWOptions,
  DeviceInfo,
  DpoOptions,
  DropoutOptions,
  Engine,
  MatmulOptions,
  MemoryUse,
  PolicyGradientOptions,
  SampleOptions,
  Tensor,
  VocabColumns,
} from '../../src/engine/engine.ts';
import { VIEW_ALIGNMENT } from '../../src/engine/engine.ts';
import type { WeightFormat } from '../../src/engine/formats.ts';
import { philox } from '../../src/random.ts';
import { decodeWeights } from './weight_formats.ts';

interface Stored extends Tensor {
  readonly data: Float64Array | Float32Array | Uint32Array;
}

const stored = (tensor: Tensor) => tensor as Stored;
const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
const floats = (tensor: Tensor) => stored(tensor).data as Float64Array | Float32Array;
const words = (tensor: Tensor) => stored(tensor).data as Uint32Array;

/** Throws `op: expected …, got …` unless every tensor has its shape; null stands for any size. */
function expectShapes(op: string, ...pairs: [Tensor, ...(number | null)[]][]): void {
  for (const [tensor, ...expected] of pairs) {
    const fits =
      tensor.shape.length === expected.length &&
      expected.every((size, i) => size === null || size === tensor.shape[i]);
    if (!fits) {
      throw new Error(`${op}: expected [${expected.map((size) => size ?? '*')}], got [${tensor.shape}]`);
    }
  }
}

export class ReferenceEngine implements Engine {
  readonly info: DeviceInfo = {
    engine: 'reference',
    vendor: 'dualign',
    device: 'host',
    description: 'f64 loops for tests',
  };
  readonly asynchronous = false;
  #precision: 'f32' | 'f64';

  constructor(precision: 'f32' | 'f64' = 'f64') {
    this.#precision = precision;
  }

  readonly limits = { tensor: Infinity, weights: Infinity };

  memory(): MemoryUse {
    throw new Error('The reference engine counts no bytes');
  }

  /** What is stored, in f64. */
  values(tensor: Tensor): Float64Array {
    return Float64Array.from(stored(tensor).data);
  }

  /** Overwrites a tensor with f64 values. */
  assign(tensor: Tensor, values: ArrayLike<number>): void {
    stored(tensor).data.set(values);
  }

  tensor(shape: readonly number[], dtype: 'f32' | 'u32' = 'f32'): Tensor {
    const size = sizeOf(shape);
    const Floats = this.#precision === 'f64' ? Float64Array : Float32Array;
    const data = dtype === 'f32' ? new Floats(size) : new Uint32Array(size);
    return { shape: [...shape], dtype, data } as Stored;
  }

  upload(data: Float32Array | Uint32Array, shape: readonly number[]): Tensor {
    const tensor = this.tensor(shape, data instanceof Uint32Array ? 'u32' : 'f32');
    this.write(tensor, data);
    return tensor;
  }

  uploadWeights(bytes: Uint8Array, shape: readonly number[], format: WeightFormat): Tensor {
    const values = decodeWeights(bytes, sizeOf(shape), format);
    const data = this.#precision === 'f64' ? Float64Array.from(values) : values;
    return { shape: [...shape], dtype: format, data } as Stored;
  }

  write(tensor: Tensor, data: Float32Array | Uint32Array): void {
    if (data.length !== sizeOf(tensor.shape)) {
      throw new Error(`write: expected ${sizeOf(tensor.shape)} values, got ${data.length}`);
    }
    stored(tensor).data.set(data);
  }

  copy(out: Tensor, source: Tensor): void {
    if (out.dtype !== source.dtype || sizeOf(out.shape) !== sizeOf(source.shape)) {
      throw new Error(`copy: expected ${out.dtype} [${out.shape}], got ${source.dtype} [${source.shape}]`);
    }
    stored(out).data.set(stored(source).data);
  }

  zero(out: Tensor): void {
    stored(out).data.fill(0);
  }

  view(tensor: Tensor, offset: number, shape: readonly number[]): Tensor {
    const { data, dtype } = stored(tensor);
    if (offset % VIEW_ALIGNMENT !== 0 || offset + sizeOf(shape) > data.length) {
      throw new Error(
        `view: expected a multiple of ${VIEW_ALIGNMENT} with room for [${shape}] in [${tensor.shape}], got ${offset}`,
      );
    }
    return { shape: [...shape], dtype, data: data.subarray(offset, offset + sizeOf(shape)) } as Stored;
  }

  free(): void {}

  async read(tensor: Tensor): Promise<Float32Array> {
    return Float32Array.from(floats(tensor));
  }

  async readU32(tensor: Tensor): Promise<Uint32Array> {
    return Uint32Array.from(words(tensor));
  }

  flush(): void {}

  destroy(): void {}

  embedding(out: Tensor, ids: Tensor, table: Tensor): void {
    this.gatherRows(out, table, ids);
  }

  gatherRows(out: Tensor, x: Tensor, rows: Tensor): void {
    const [b, d] = out.shape;
    expectShapes('gatherRows', [out, b, d], [x, null, d], [rows, b]);
    words(rows).forEach((row, i) => {
      if (row >= x.shape[0]) throw new Error(`gatherRows: expected a row below ${x.shape[0]}, got ${row}`);
      floats(out).set(floats(x).subarray(row * d, (row + 1) * d), i * d);
    });
  }

  rmsnorm(out: Tensor, x: Tensor, weight: Tensor, epsilon: number): void {
    const [n, d] = out.shape;
    expectShapes('rmsnorm', [out, n, d], [x, n, d], [weight, d]);
    const [y, input, w] = [out, x, weight].map(floats);
    for (let row = 0; row < n; row++) {
      const inverse = inverseRms(input, row * d, d, epsilon);
      for (let j = 0; j < d; j++) y[row * d + j] = input[row * d + j] * inverse * w[j];
    }
  }

  rmsnormBackward(dinp: Tensor, dout: Tensor, x: Tensor, weight: Tensor, epsilon: number): void {
    const [n, d] = dinp.shape;
    expectShapes('rmsnormBackward', [dinp, n, d], [dout, n, d], [x, n, d], [weight, d]);
    const [dx, dy, input, w] = [dinp, dout, x, weight].map(floats);
    for (let row = 0; row < n; row++) {
      const start = row * d;
      const inverse = inverseRms(input, start, d, epsilon);
      let dot = 0;
      for (let j = 0; j < d; j++) dot += dy[start + j] * w[j] * input[start + j];
      for (let j = 0; j < d; j++) {
        dx[start + j] += inverse * (dy[start + j] * w[j] - (input[start + j] * inverse * inverse * dot) / d);
      }
    }
  }

  columnProducts(out: Tensor, a: Tensor, b: Tensor): void {
    const [n, d] = a.shape;
    expectShapes('columnProducts', [out, d], [b, n, d]);
    const [sums, left, right] = [out, a, b].map(floats);
    for (let i = 0; i < n * d; i++) sums[i % d] += left[i] * right[i];
  }

  scatterRows(table: Tensor, x: Tensor, ids: Tensor, starts: Tensor, places: Tensor): void {
    const [, d] = table.shape;
    const [u] = ids.shape;
    expectShapes('scatterRows', [table, null, d], [x, null, d], [ids, u], [starts, u + 1], [places, null]);
    const [target, source] = [table, x].map(floats);
    words(ids).forEach((id, i) => {
      for (let place = words(starts)[i]; place < words(starts)[i + 1]; place++) {
        for (let j = 0; j < d; j++) target[id * d + j] += source[words(places)[place] * d + j];
      }
    });
  }

  dropout(out: Tensor, x: Tensor, streams: Tensor, options: DropoutOptions): void {
    const { rate, key, site, step, accumulate = false } = options;
    const [n, d] = x.shape;
    expectShapes('dropout', [out, n, d], [streams, n]);
    const [y, input] = [out, x].map(floats);
    for (let i = 0; i < n * d; i++) {
      const column = i % d;
      const stream = words(streams)[Math.floor(i / d)];
      const word = philox(key, [stream, Math.floor(column / 4), site, step])[column % 4];
      const value = (word >>> 8) / 0x1000000 >= rate ? input[i] / (1 - rate) : 0;
      y[i] = accumulate ? y[i] + value : value;
    }
  }

  matmul(out: Tensor, a: Tensor, b: Tensor, options: MatmulOptions = {}): void {
    const { transposeA = false, transposeB = false, scale = 1, accumulate = false } = options;
    const [m, n] = out.shape;
    const k = a.shape[transposeA ? 0 : 1];
    expectShapes(
      'matmul',
      [out, m, n],
      transposeA ? [a, k, m] : [a, m, k],
      transposeB ? [b, n, k] : [b, k, n],
    );
    const [c, left, right] = [out, a, b].map(floats);
    const [aRow, aStep] = transposeA ? [1, m] : [k, 1];
    const [bColumn, bStep] = transposeB ? [k, 1] : [1, n];
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) sum += left[i * aRow + l * aStep] * right[j * bColumn + l * bStep];
        c[i * n + j] = scale * sum + (accumulate ? c[i * n + j] : 0);
      }
    }
  }

  rope(x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor, inverse = false): void {
    const [n, heads, dim] = x.shape;
    const half = dim / 2;
    expectShapes('rope', [x, n, heads, dim], [cos, null, half], [sin, cos.shape[0], half], [positions, n]);
    const [values, c, s] = [x, cos, sin].map(floats);
    for (let row = 0; row < n; row++) {
      const table = words(positions)[row] * half;
      for (let head = 0; head < heads; head++) {
        const start = (row * heads + head) * dim;
        for (let i = 0; i < half; i++) {
          const first = values[start + i];
          const second = values[start + half + i];
          const sine = inverse ? -s[table + i] : s[table + i];
          values[start + i] = first * c[table + i] - second * sine;
          values[start + half + i] = second * c[table + i] + first * sine;
        }
      }
    }
  }

  attention(
    out: Tensor,
    lse: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: number,
    window = Infinity,
  ): void {
    const [b, t, heads, dim] = out.shape;
    const groups = k.shape[2];
    expectShapes(
      'attention',
      [q, b, t, heads, dim],
      [k, b, t, groups, dim],
      [v, b, t, groups, dim],
      [lse, b, heads, t],
    );
    const [o, l, queries, keys, values] = [out, lse, q, k, v].map(floats);
    for (let batch = 0; batch < b; batch++) {
      for (let head = 0; head < heads; head++) {
        const group = Math.floor((head * groups) / heads);
        for (let i = 0; i < t; i++) {
          const query = ((batch * t + i) * heads + head) * dim;
          const keyAt = (j: number) => ((batch * t + j) * groups + group) * dim;
          l[(batch * heads + head) * t + i] = attend(
            o,
            query,
            queries,
            query,
            keys,
            values,
            keyAt,
            Math.max(0, i + 1 - window),
            i + 1,
            dim,
            scale,
          );
        }
      }
    }
  }

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
    window = Infinity,
  ): void {
    const [b, t, heads, dim] = q.shape;
    const groups = k.shape[2];
    const full: [number, number, number, number] = [b, t, heads, dim];
    const grouped: [number, number, number, number] = [b, t, groups, dim];
    expectShapes('attentionBackward', [dq, ...full], [dout, ...full], [out, ...full], [lse, b, heads, t]);
    expectShapes('attentionBackward', [dk, ...grouped], [dv, ...grouped], [k, ...grouped], [v, ...grouped]);
    const [gq, gk, gv, go, queries, keys, values, o, l] = [dq, dk, dv, dout, q, k, v, out, lse].map(floats);
    for (const gradient of [gq, gk, gv]) gradient.fill(0);
    for (let batch = 0; batch < b; batch++) {
      for (let head = 0; head < heads; head++) {
        const group = Math.floor((head * groups) / heads);
        for (let i = 0; i < t; i++) {
          const query = ((batch * t + i) * heads + head) * dim;
          const along = dot(go, query, o, query, dim);
          for (let j = Math.max(0, i + 1 - window); j <= i; j++) {
            const key = ((batch * t + j) * groups + group) * dim;
            const score = scale * dot(queries, query, keys, key, dim);
            const p = Math.exp(score - l[(batch * heads + head) * t + i]);
            const ds = scale * p * (dot(go, query, values, key, dim) - along);
            for (let c = 0; c < dim; c++) {
              gq[query + c] += ds * keys[key + c];
              gk[key + c] += ds * queries[query + c];
              gv[key + c] += p * go[query + c];
            }
          }
        }
      }
    }
  }

  cacheWrite(cache: Tensor, x: Tensor, start: Tensor): void {
    const [b, t, heads, dim] = x.shape;
    const max = cache.shape[1];
    expectShapes('cacheWrite', [cache, b, max, heads, dim], [x, b, t, heads, dim], [start, b]);
    const row = heads * dim;
    for (let batch = 0; batch < b; batch++) {
      const first = words(start)[batch];
      if (first + t > max)
        throw new Error(`cacheWrite: expected room for ${first + t} positions, got ${max}`);
      floats(cache).set(
        floats(x).subarray(batch * t * row, (batch + 1) * t * row),
        (batch * max + first) * row,
      );
    }
  }

  attentionCached(
    out: Tensor,
    q: Tensor,
    kCache: Tensor,
    vCache: Tensor,
    lengths: Tensor,
    scale: number,
    window = Infinity,
  ): void {
    const [b, heads, dim] = out.shape;
    const [, max, groups] = kCache.shape;
    expectShapes('attentionCached', [q, b, heads, dim], [kCache, b, max, groups, dim], [lengths, b]);
    expectShapes('attentionCached', [vCache, b, max, groups, dim]);
    const [o, queries, keys, values] = [out, q, kCache, vCache].map(floats);
    for (let batch = 0; batch < b; batch++) {
      for (let head = 0; head < heads; head++) {
        const group = Math.floor((head * groups) / heads);
        const query = (batch * heads + head) * dim;
        const keyAt = (j: number) => ((batch * max + j) * groups + group) * dim;
        const length = words(lengths)[batch];
        const first = Math.max(0, length - window);
        attend(o, query, queries, query, keys, values, keyAt, first, length, dim, scale);
      }
    }
  }

  swiglu(out: Tensor, gate: Tensor, up: Tensor): void {
    const [n, d] = out.shape;
    expectShapes('swiglu', [out, n, d], [gate, n, d], [up, n, d]);
    const [y, g, u] = [out, gate, up].map(floats);
    for (let i = 0; i < y.length; i++) y[i] = (g[i] / (1 + Math.exp(-g[i]))) * u[i];
  }

  swigluBackward(dgate: Tensor, dup: Tensor, dout: Tensor, gate: Tensor, up: Tensor): void {
    const [n, d] = dgate.shape;
    expectShapes('swigluBackward', [dgate, n, d], [dup, n, d], [dout, n, d], [gate, n, d], [up, n, d]);
    const [dg, du, dy, g, u] = [dgate, dup, dout, gate, up].map(floats);
    for (let i = 0; i < dy.length; i++) {
      const sigmoid = 1 / (1 + Math.exp(-g[i]));
      du[i] = dy[i] * g[i] * sigmoid;
      dg[i] = dy[i] * u[i] * sigmoid * (1 + g[i] * (1 - sigmoid));
    }
  }

  add(out: Tensor, x: Tensor): void {
    expectShapes('add', [x, ...out.shape]);
    const [y, input] = [out, x].map(floats);
    for (let i = 0; i < y.length; i++) y[i] += input[i];
  }

  addBias(out: Tensor, bias: Tensor): void {
    const [n, d] = out.shape;
    expectShapes('addBias', [out, n, d], [bias, d]);
    for (let i = 0; i < n * d; i++) floats(out)[i] += floats(bias)[i % d];
  }

  tokenLogps(logps: Tensor, lse: Tensor, logits: Tensor, targets: Tensor, columns?: VocabColumns): void {
    const [n, width] = logits.shape;
    const { start, vocab } = columns ?? { start: 0, vocab: width };
    expectShapes('tokenLogps', [logps, n], [lse, n], [logits, n, width], [targets, n]);
    const [values, sums, scores] = [logps, lse, logits].map(floats);
    for (let row = 0; row < n; row++) {
      const part = logSumExp(scores.subarray(row * width, (row + 1) * width));
      sums[row] = start > 0 ? logSumExp(Float64Array.of(sums[row], part)) : part;
      const column = words(targets)[row] - start;
      if (column >= 0 && column < width) values[row] = scores[row * width + column];
      if (start + width === vocab) values[row] -= sums[row];
    }
  }

  tokenLogpsBackward(
    logits: Tensor,
    dlogps: Tensor,
    lse: Tensor,
    targets: Tensor,
    { start }: VocabColumns = { start: 0, vocab: logits.shape[1] },
  ): void {
    const [n, width] = logits.shape;
    expectShapes('tokenLogpsBackward', [dlogps, n], [lse, n], [targets, n]);
    const [scores, incoming, sums] = [logits, dlogps, lse].map(floats);
    for (let i = 0; i < n * width; i++) {
      const row = Math.floor(i / width);
      const hit = start + (i % width) === words(targets)[row] ? 1 : 0;
      scores[i] = incoming[row] * (hit - Math.exp(scores[i] - sums[row]));
    }
  }

  topTargets(hits: Tensor, most: Tensor, logits: Tensor, targets: Tensor, columns?: VocabColumns): void {
    const [n, width] = logits.shape;
    const { start, vocab } = columns ?? { start: 0, vocab: width };
    expectShapes('topTargets', [hits, n], [most, n], [logits, n, width], [targets, n]);
    const [found, largest, scores] = [hits, most, logits].map(floats);
    for (let row = 0; row < n; row++) {
      if (start === 0) largest[row] = -Infinity;
      for (let j = 0; j < width; j++) {
        const score = scores[row * width + j];
        const target = start + j === words(targets)[row];
        // Until the last part: whether the largest so far is the target.
        if (score > largest[row]) {
          largest[row] = score;
          found[row] = Number(target);
        }
      }
      if (start + width === vocab && found[row] !== 1) found[row] = 0;
    }
  }

  maskedSum(out: Tensor, x: Tensor, mask: Tensor): void {
    const [b, t] = x.shape;
    expectShapes('maskedSum', [out, b], [mask, b, t]);
    for (let row = 0; row < b; row++) floats(out)[row] = dot(floats(x), row * t, floats(mask), row * t, t);
  }

  maskedSumBackward(dinp: Tensor, dout: Tensor, mask: Tensor): void {
    const [b, t] = dinp.shape;
    expectShapes('maskedSumBackward', [dout, b], [mask, b, t]);
    for (let i = 0; i < b * t; i++) floats(dinp)[i] = floats(dout)[Math.floor(i / t)] * floats(mask)[i];
  }

  dpo(
    losses: Tensor,
    dlogps: Tensor,
    logps: Tensor,
    refLogps: Tensor,
    labels: Tensor,
    { loss: kind, beta, scale }: DpoOptions,
  ): void {
    const [p] = losses.shape;
    expectShapes('dpo', [losses, p], [dlogps, 2 * p], [logps, 2 * p], [refLogps, 2 * p], [labels, p]);
    const [loss, gradient, policy, reference, label] = [losses, dlogps, logps, refLogps, labels].map(floats);
    for (let i = 0; i < p; i++) {
      const distance = policy[i] - reference[i] - (policy[p + i] - reference[p + i]);
      const delta = beta * distance;
      const slopes = {
        sigmoid: beta * (1 / (1 + Math.exp(-delta)) - label[i]),
        ipo: 2 * (distance - 1 / (2 * beta)),
        hinge: delta < 1 ? -beta : 0,
      };
      const values = {
        sigmoid: label[i] * softplus(-delta) + (1 - label[i]) * softplus(delta),
        ipo: (distance - 1 / (2 * beta)) ** 2,
        hinge: Math.max(0, 1 - delta),
      };
      loss[i] = values[kind];
      gradient[i] = scale * slopes[kind];
      gradient[p + i] = -gradient[i];
    }
  }

  policyGradient(
    losses: Tensor,
    dlogps: Tensor,
    logps: Tensor,
    oldLogps: Tensor,
    refLogps: Tensor,
    advantages: Tensor,
    weights: Tensor,
    { epsilonLow, epsilonHigh, beta, weighKl }: PolicyGradientOptions,
  ): void {
    const [n] = logps.shape;
    const all = [losses, dlogps, logps, oldLogps, refLogps, advantages, weights];
    for (const tensor of all) expectShapes('policyGradient', [tensor, n]);
    const [loss, gradient, policy, old, reference, advantage, weight] = all.map(floats);
    for (let i = 0; i < n; i++) {
      const ratio = Math.exp(policy[i] - old[i]);
      const clipped = Math.min(Math.max(ratio, 1 - epsilonLow), 1 + epsilonHigh);
      const away = reference[i] - policy[i];
      const surrogate = Math.min(ratio * advantage[i], clipped * advantage[i]);
      const inside = ratio * advantage[i] <= clipped * advantage[i];
      const k3 = Math.expm1(away) - away;
      const pull = weighKl ? ratio * (k3 - Math.expm1(away)) : -Math.expm1(away);
      loss[i] = weight[i] * (-surrogate + beta * (weighKl ? ratio : 1) * k3);
      gradient[i] = weight[i] * ((inside ? -ratio * advantage[i] : 0) + beta * pull);
    }
  }

  sumSquares(out: Tensor, x: Tensor): void {
    expectShapes('sumSquares', [out, 1]);
    floats(out)[0] = dot(floats(x), 0, floats(x), 0, sizeOf(x.shape));
  }

  adamw(param: Tensor, grad: Tensor, m: Tensor, v: Tensor, gradSquares: Tensor, options: AdamWOptions): void {
    for (const tensor of [grad, m, v]) expectShapes('adamw', [tensor, ...param.shape]);
    expectShapes('adamw', [gradSquares, 1]);
    const { learningRate, beta1, beta2, epsilon, weightDecay, maxGradNorm } = options;
    const [weights, gradient, mean, variance, squares] = [param, grad, m, v, gradSquares].map(floats);
    const clip = Math.min(1, maxGradNorm / (Math.sqrt(squares[0]) + 1e-6));
    for (let i = 0; i < weights.length; i++) {
      const g = gradient[i] * clip;
      mean[i] = beta1 * mean[i] + (1 - beta1) * g;
      variance[i] = beta2 * variance[i] + (1 - beta2) * g * g;
      const step = mean[i] / options.biasCorrection1;
      const spread = Math.sqrt(variance[i] / options.biasCorrection2) + epsilon;
      weights[i] = weights[i] * (1 - learningRate * weightDecay) - (learningRate * step) / spread;
    }
  }

  /**
   * The drawn token is the first id, in order of ids, at which the running sum of the kept probabilities exceeds
   * u · their total, with u = (first word >>> 8) / 2^24, which f32 holds exactly. Ties with the last token of the
   * top-p set stay, as they do for top-k.
   */
  sample(
    next: Tensor,
    logps: Tensor,
    logits: Tensor,
    streams: Tensor,
    lengths: Tensor,
    options: SampleOptions,
  ): void {
    const [b, vocab] = logits.shape;
    expectShapes('sample', [next, b], [logps, b], [streams, b, 2], [lengths, b]);
    for (let row = 0; row < b; row++) {
      const scores = floats(logits).subarray(row * vocab, (row + 1) * vocab);
      const [high, low] = words(streams).subarray(2 * row, 2 * row + 2);
      const [word] = philox(options.key, [high, low, words(lengths)[row], 0]);
      const drawn =
        options.temperature === 0
          ? { id: argmax(scores), logp: 0 }
          : draw(scores, (word >>> 8) / 0x1000000, options);
      words(next)[row] = drawn.id;
      floats(logps)[row] = drawn.logp;
    }
  }

  repetitionPenalty(logits: Tensor, tokens: Tensor, lengths: Tensor, penalty: number): void {
    const [b, vocab] = logits.shape;
    const max = tokens.shape[1];
    expectShapes('repetitionPenalty', [tokens, b, max], [lengths, b]);
    for (let row = 0; row < b; row++) {
      const text = words(tokens).subarray(row * max, row * max + words(lengths)[row]);
      for (const token of new Set(text)) {
        const x = floats(logits)[row * vocab + token];
        floats(logits)[row * vocab + token] = x < 0 ? x * penalty : x / penalty;
      }
    }
  }

  advance(
    tokens: Tensor,
    lengths: Tensor,
    finished: Tensor,
    current: Tensor,
    positions: Tensor,
    next: Tensor,
    eos: Tensor,
  ): void {
    const [b, max] = tokens.shape;
    expectShapes(
      'advance',
      [tokens, b, max],
      [lengths, b],
      [finished, b],
      [current, b],
      [positions, b],
      [next, b],
    );
    for (let row = 0; row < b; row++) {
      if (words(finished)[row] === 0) {
        const token = words(next)[row];
        words(tokens)[row * max + words(lengths)[row]] = token;
        words(lengths)[row]++;
        if (words(eos).includes(token) || words(lengths)[row] === max) words(finished)[row] = 1;
      }
      const last = words(lengths)[row] - 1;
      words(current)[row] = words(tokens)[row * max + last];
      words(positions)[row] = last;
    }
  }
}

function dot(
  a: ArrayLike<number>,
  aStart: number,
  b: ArrayLike<number>,
  bStart: number,
  length: number,
): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[aStart + i] * b[bStart + i];
  return sum;
}

function inverseRms(x: ArrayLike<number>, start: number, length: number, epsilon: number): number {
  return 1 / Math.sqrt(dot(x, start, x, start, length) / length + epsilon);
}

/** One query over the keys from `first` to `end`: writes softmax(scale · q·k) · v at out[start], returns the log-sum-exp of the scores. */
function attend(
  out: Float64Array | Float32Array,
  start: number,
  queries: ArrayLike<number>,
  query: number,
  keys: ArrayLike<number>,
  values: ArrayLike<number>,
  keyAt: (position: number) => number,
  first: number,
  end: number,
  dim: number,
  scale: number,
): number {
  const scores = Float64Array.from(
    { length: end - first },
    (_, j) => scale * dot(queries, query, keys, keyAt(first + j), dim),
  );
  const lse = logSumExp(scores);
  const weights = scores.map((score) => Math.exp(score - lse));
  for (let c = 0; c < dim; c++) {
    out[start + c] = weights.reduce((sum, weight, j) => sum + weight * values[keyAt(first + j) + c], 0);
  }
  return lse;
}

function logSumExp(scores: ArrayLike<number>): number {
  const max = scores[argmax(scores)];
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum += Math.exp(scores[i] - max);
  return max + Math.log(sum);
}

/** log(1 + exp(x)) without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

function argmax(scores: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i] > scores[best]) best = i;
  return best;
}

function draw(
  scores: ArrayLike<number>,
  u: number,
  { temperature, topK, topP }: SampleOptions,
): { id: number; logp: number } {
  const sorted = Float64Array.from(scores).sort().reverse();
  let least = topK > 0 && topK < sorted.length ? sorted[topK - 1] : sorted[sorted.length - 1];
  const weight = (score: number) => (score >= least ? Math.exp((score - sorted[0]) / temperature) : 0);
  if (topP < 1) {
    const target = topP * sorted.reduce((sum, score) => sum + weight(score), 0);
    let reached = 0;
    let count = 0;
    while (reached < target && count < sorted.length) reached += weight(sorted[count++]);
    least = Math.max(least, sorted[Math.max(count, 1) - 1]);
  }
  const weights = Float64Array.from(scores, weight);
  const total = weights.reduce((sum, value) => sum + value, 0);
  const target = u * total;
  let running = 0;
  let id = weights.findIndex((value) => {
    running += value;
    return running > target && value > 0;
  });
  if (id < 0) id = argmax(scores);
  return { id, logp: Math.log(weights[id] / total) };
}

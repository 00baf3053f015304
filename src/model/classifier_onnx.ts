import { type Constant, FLOAT, INT64, type Node, onnxModel, type Value } from '../data/onnx.ts';
import type { LlamaConfig } from './config.ts';
import { ropeFrequencies, type ScalarMath } from './rope.ts';
import { LINEAR_NAMES, type LinearName, linearPath } from './weights.ts';

/** A weight's values by its name in Hugging Face's folders. */
export type ReadWeight = (name: string) => Promise<Float32Array>;

const INPUTS: Value[] = ['input_ids', 'attention_mask'].map((name) => ({
  name,
  type: INT64,
  shape: ['batch', 'sequence'],
}));
const HIDDEN = -1e30;

/**
 * A Llama-family model with a score head as an ONNX classifier: input_ids and attention_mask `[batch, sequence]` →
 * logits `[batch, 1]`, read at each row's last token under the mask. Rows are padded on the right. The context is
 * `length` tokens.
 */
export async function classifierOnnx(
  config: LlamaConfig,
  read: ReadWeight,
  length: number,
  math: ScalarMath,
): Promise<Uint8Array> {
  const graph = new GraphBuilder(config);
  graph.prepare(length, math);
  let x = graph.gather(
    graph.constant(
      'embedding',
      [config.vocabSize, config.hiddenSize],
      await read('model.embed_tokens.weight'),
    ),
  );
  for (let block = 0; block < config.layers; block++) x = await graph.block(x, block, read);
  x = graph.rmsnorm(x, graph.constant('norm', [config.hiddenSize], await read('model.norm.weight')));
  graph.score(x, await read('score.weight'));
  return graph.bytes();
}

class GraphBuilder {
  #config: LlamaConfig;
  #nodes: Node[] = [];
  #constants: Constant[] = [];

  constructor(config: LlamaConfig) {
    this.#config = config;
  }

  constant(name: string, shape: readonly number[], data: Float32Array | BigInt64Array): string {
    this.#constants.push({ name, shape, data });
    return name;
  }

  #ints(name: string, values: readonly number[]): string {
    return this.constant(name, [values.length], BigInt64Array.from(values, BigInt));
  }

  #op(op: string, inputs: readonly string[], ints?: Node['ints']): string {
    const output = `${op}_${this.#nodes.length}`;
    this.#nodes.push({ op, inputs, output, ints });
    return output;
  }

  /** Tables of the whole context, of which a run takes the first `sequence` positions. */
  prepare(length: number, math: ScalarMath): void {
    const { headDim, heads, rope, windows } = this.#config;
    const frequencies = ropeFrequencies(rope, headDim, math);
    const table = (wave: (x: number) => number) =>
      Float32Array.from({ length: length * headDim }, (_, i) =>
        wave(Math.floor(i / headDim) * frequencies[i % (headDim / 2)]),
      );
    this.constant('cosAll', [length, headDim], table(math.cos));
    this.constant('sinAll', [length, headDim], table(math.sin));
    for (const [i, window] of [...new Set(windows)].entries()) {
      const bias = Float32Array.from({ length: length * length }, (_, at) => {
        const query = Math.floor(at / length);
        const key = at % length;
        return key > query || key <= query - window ? HIDDEN : 0;
      });
      this.constant(`biasAll${i}`, [length, length], bias);
    }
    this.#ints('zero', [0]);
    this.#ints('one', [1]);
    this.#ints('axes', [0, 1]);
    this.#ints('zeros', [0, 0]);
    this.#ints('last', [-1]);
    this.#ints('half', [headDim / 2]);
    this.#ints('whole', [headDim]);
    this.#ints('perHead', [0, 0, heads, headDim]);
    this.#ints('joined', [0, 0, heads * headDim]);
    this.constant('epsilon', [1], Float32Array.of(this.#config.rmsNormEpsilon));
    this.constant('scale', [1], Float32Array.of(1 / Math.sqrt(headDim)));
    const t = this.#op('Slice', [this.#op('Shape', ['input_ids']), 'one', this.#ints('two', [2]), 'zero']);
    const rows = (all: string) => this.#op('Slice', [all, 'zero', t, 'zero']);
    this.#cos = rows('cosAll');
    this.#sin = rows('sinAll');
    const square = this.#op('Concat', [t, t], { axis: 0 });
    this.#bias = new Map(
      [...new Set(windows)].map((window, i) => [
        window,
        this.#op('Slice', [`biasAll${i}`, 'zeros', square, 'axes']),
      ]),
    );
  }

  #cos = '';
  #sin = '';
  #bias: ReadonlyMap<number, string> = new Map();

  gather(table: string): string {
    return this.#op('Gather', [table, 'input_ids']);
  }

  rmsnorm(x: string, weight: string): string {
    const mean = this.#op('ReduceMean', [this.#op('Mul', [x, x])], { axes: [-1], keepdims: 1 });
    const root = this.#op('Sqrt', [this.#op('Add', [mean, 'epsilon'])]);
    return this.#op('Mul', [this.#op('Div', [x, root]), weight]);
  }

  async block(x: string, block: number, read: ReadWeight): Promise<string> {
    const { hiddenSize, headDim, queryKeyNorm, rotary, windows } = this.#config;
    const path = `model.layers.${block}`;
    const norm = async (name: string, size: number) =>
      this.constant(`${path}.${name}`, [size], await read(`${path}.${name}.weight`));
    const linear = Object.fromEntries(
      await Promise.all(
        LINEAR_NAMES.map(async (name) => [name, await this.#linear(block, name, read)] as const),
      ),
    ) as Record<LinearName, (input: string) => string>;

    const input = this.rmsnorm(x, await norm('input_layernorm', hiddenSize));
    const headsOf = async (name: 'q_proj' | 'k_proj', normName: string) => {
      const split = this.#op('Reshape', [linear[name](input), 'perHead']);
      const normed = queryKeyNorm ? this.rmsnorm(split, await norm(`self_attn.${normName}`, headDim)) : split;
      const byHead = this.#op('Transpose', [normed], { perm: [0, 2, 1, 3] });
      return rotary[block] ? this.#rotate(byHead) : byHead;
    };
    const q = await headsOf('q_proj', 'q_norm');
    const k = await headsOf('k_proj', 'k_norm');
    const v = this.#op('Transpose', [this.#op('Reshape', [linear.v_proj(input), 'perHead'])], {
      perm: [0, 2, 1, 3],
    });
    const scores = this.#op('MatMul', [q, this.#op('Transpose', [k], { perm: [0, 1, 3, 2] })]);
    const biased = this.#op('Add', [this.#op('Mul', [scores, 'scale']), this.#bias.get(windows[block])!]);
    const attended = this.#op('MatMul', [this.#op('Softmax', [biased], { axis: -1 }), v]);
    const merged = this.#op('Reshape', [this.#op('Transpose', [attended], { perm: [0, 2, 1, 3] }), 'joined']);
    const middle = this.#op('Add', [x, linear.o_proj(merged)]);

    const inner = this.rmsnorm(middle, await norm('post_attention_layernorm', hiddenSize));
    const gate = linear.gate_proj(inner);
    const silu = this.#op('Mul', [gate, this.#op('Sigmoid', [gate])]);
    return this.#op('Add', [middle, linear.down_proj(this.#op('Mul', [silu, linear.up_proj(inner)]))]);
  }

  /** x·Wᵀ + b; the rows of keys and values are repeated, so that every query head has its own. */
  async #linear(block: number, name: LinearName, read: ReadWeight): Promise<(input: string) => string> {
    const { heads, keyValueHeads, headDim, biases } = this.#config;
    const path = linearPath(block, name);
    const shared = name === 'k_proj' || name === 'v_proj';
    const expand = (values: Float32Array, width: number) => {
      if (!shared) return values;
      const size = headDim * width;
      const out = new Float32Array(heads * size);
      for (let head = 0; head < heads; head++) {
        const from = Math.floor(head / (heads / keyValueHeads)) * size;
        out.set(values.subarray(from, from + size), head * size);
      }
      return out;
    };
    const stored = await read(`${path}.weight`);
    const inputs = this.#inputsOf(name);
    const weight = expand(stored, inputs);
    const outputs = weight.length / inputs;
    const transposed = new Float32Array(weight.length);
    for (let i = 0; i < outputs; i++) {
      for (let j = 0; j < inputs; j++) transposed[j * outputs + i] = weight[i * inputs + j];
    }
    this.constant(path, [inputs, outputs], transposed);
    if (biases.has(name)) this.constant(`${path}.bias`, [outputs], expand(await read(`${path}.bias`), 1));
    return (input) => {
      const product = this.#op('MatMul', [input, path]);
      return biases.has(name) ? this.#op('Add', [product, `${path}.bias`]) : product;
    };
  }

  #inputsOf(name: LinearName): number {
    const { hiddenSize, heads, headDim, intermediateSize } = this.#config;
    if (name === 'o_proj') return heads * headDim;
    return name === 'down_proj' ? intermediateSize : hiddenSize;
  }

  /** x·cos + rotate_half(x)·sin (RoFormer, the half-split layout of Hugging Face). */
  #rotate(x: string): string {
    const first = this.#op('Slice', [x, 'zero', 'half', 'last']);
    const second = this.#op('Slice', [x, 'half', 'whole', 'last']);
    const turned = this.#op('Concat', [this.#op('Neg', [second]), first], { axis: -1 });
    return this.#op('Add', [this.#op('Mul', [x, this.#cos]), this.#op('Mul', [turned, this.#sin])]);
  }

  score(x: string, weight: Float32Array): void {
    const count = this.#op('ReduceSum', ['attention_mask', 'one'], { keepdims: 1 });
    const index = this.#op('Sub', [count, 'one']);
    const last = this.#op('GatherND', [x, index], { batch_dims: 1 });
    this.constant('scoreWeight', [this.#config.hiddenSize, 1], weight);
    this.#nodes.push({ op: 'MatMul', inputs: [last, 'scoreWeight'], output: 'logits' });
  }

  bytes(): Uint8Array {
    return onnxModel({
      inputs: INPUTS,
      output: { name: 'logits', type: FLOAT, shape: ['batch', 1] },
      nodes: this.#nodes,
      constants: this.#constants,
    });
  }
}

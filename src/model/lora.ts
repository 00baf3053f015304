import type { Engine, Tensor } from '../engine/engine.ts';
import { VIEW_ALIGNMENT } from '../engine/engine.ts';
import { messageOf, UserError } from '../errors.ts';
import { keyOf, Random } from '../random.ts';
import type { LlamaConfig } from './config.ts';
import { LINEAR_NAMES, type LinearName, type LlamaWeights, linearPath, linearShape } from './weights.ts';

/** Low-rank adaptation (Hu et al. 2021): y = x·Wᵀ + (alpha / r)·(x·Aᵀ)·Bᵀ. Names are PEFT's. */
export interface LoraConfig {
  readonly r: number;
  readonly lora_alpha: number;
  /**
   * Names of linear layers ("q_proj"), whole paths ("model.layers.0.mlp.up_proj"), or "all-linear"; or, as a string, a
   * regular expression that whole paths match.
   */
  readonly target_modules: string | readonly string[];
  /** The factor is alpha / √r in place of alpha / r (Kalajdzievski 2023). */
  readonly use_rslora?: boolean;
  /** Part of a layer's inputs that its factors do not see in training; 0 by default. */
  readonly lora_dropout?: number;
}

/** The two factors of one linear layer: a `[r, in]`, b `[out, r]`; windows on the adapter's flat tensors. */
export interface LoraPair {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly gradA: Tensor;
  readonly gradB: Tensor;
}

/** Where one linear layer's factors lie in the flat tensors, in elements. */
interface Slot {
  readonly block: number;
  readonly name: LinearName;
  readonly out: number;
  readonly in: number;
  readonly offsetA: number;
  readonly offsetB: number;
}

/** All trainable parameters, in one flat tensor, so that the norm and the optimizer are one operation each. */
export class Adapter {
  readonly config: LoraConfig;
  readonly scale: number;
  /** The lowest block with a factor: nothing below it needs a gradient. */
  readonly firstBlock: number;
  readonly size: number;
  readonly parameters: Tensor;
  readonly gradients: Tensor;
  #engine: Engine;
  #slots: Slot[];
  #pairs: Partial<Record<LinearName, LoraPair>>[];

  /** `name` stands in errors. All factors start at zero: follow with `initialize` or `assign`. */
  constructor(engine: Engine, model: LlamaConfig, config: LoraConfig, name = 'LoRA') {
    this.config = config;
    this.scale = config.lora_alpha / (config.use_rslora ? Math.sqrt(config.r) : config.r);
    this.#engine = engine;
    this.#slots = slotsOf(model, config, name);
    this.firstBlock = this.#slots[0].block;
    const last = this.#slots.at(-1)!;
    this.size = last.offsetB + aligned(last.out * config.r);
    this.parameters = engine.tensor([this.size]);
    this.gradients = engine.tensor([this.size]);
    this.#pairs = Array.from({ length: model.layers }, () => ({}));
    for (const slot of this.#slots) {
      const shapeA = [config.r, slot.in];
      const shapeB = [slot.out, config.r];
      this.#pairs[slot.block][slot.name] = {
        a: engine.view(this.parameters, slot.offsetA, shapeA),
        b: engine.view(this.parameters, slot.offsetB, shapeB),
        gradA: engine.view(this.gradients, slot.offsetA, shapeA),
        gradB: engine.view(this.gradients, slot.offsetB, shapeB),
      };
    }
  }

  /** The factors of a linear layer, if it has any. */
  pair(block: number, name: LinearName): LoraPair | undefined {
    return this.#pairs[block][name];
  }

  /** PEFT's start: A uniform as kaiming_uniform(a = √5) draws it, B zero, so that the model is unchanged. */
  initialize(seed: number): void {
    const key = keyOf(seed, 'lora');
    const flat = new Float32Array(this.size);
    for (const slot of this.#slots) {
      const bound = 1 / Math.sqrt(slot.in);
      const random = new Random(key, slot.block * LINEAR_NAMES.length + LINEAR_NAMES.indexOf(slot.name));
      for (let i = 0; i < this.config.r * slot.in; i++) {
        flat[slot.offsetA + i] = (2 * random.uniform() - 1) * bound;
      }
    }
    this.#engine.write(this.parameters, flat);
  }

  /** PEFT's name of each factor, its shape and its offset in the flat tensors. */
  *entries(): Generator<{ key: string; shape: [number, number]; offset: number }> {
    for (const slot of this.#slots) {
      const path = `base_model.model.${linearPath(slot.block, slot.name)}`;
      yield { key: `${path}.lora_A.weight`, shape: [this.config.r, slot.in], offset: slot.offsetA };
      yield { key: `${path}.lora_B.weight`, shape: [slot.out, this.config.r], offset: slot.offsetB };
    }
  }

  /** Overwrites all factors; `values` by PEFT's names. */
  assign(values: ReadonlyMap<string, Float32Array>): void {
    const flat = new Float32Array(this.size);
    for (const { key, offset } of this.entries()) flat.set(values.get(key)!, offset);
    this.#engine.write(this.parameters, flat);
  }

  /** The flat parameters on the host. */
  read(): Promise<Float32Array> {
    return this.#engine.read(this.parameters);
  }

  free(): void {
    this.#engine.free(this.parameters, this.gradients);
  }
}

/**
 * The model's weights with W + scale·B·A in the place of every adapted W; `free` returns the copies. Weights in a format
 * of few bits stay as they are, with the factors beside them: the sum would round the factors away, and take an f32 copy.
 */
export function mergeAdapter(
  { engine, weights }: { engine: Engine; weights: LlamaWeights },
  adapter: Adapter,
): { weights: LlamaWeights; free: () => void } {
  if (weights.blocks.some(({ linears }) => Object.values(linears).some(({ dtype }) => dtype !== 'f32'))) {
    return { weights: { ...weights, beside: adapter }, free: () => {} };
  }
  const copies: Tensor[] = [];
  const blocks = weights.blocks.map((block, index) => {
    const linears = { ...block.linears };
    for (const name of LINEAR_NAMES) {
      const pair = adapter.pair(index, name);
      if (!pair) continue;
      const merged = engine.tensor(linears[name].shape);
      engine.copy(merged, linears[name]);
      engine.matmul(merged, pair.b, pair.a, { scale: adapter.scale, accumulate: true });
      copies.push(merged);
      linears[name] = merged;
    }
    return { ...block, linears };
  });
  return { weights: { ...weights, blocks }, free: () => engine.free(...copies) };
}

function aligned(size: number): number {
  return Math.ceil(size / VIEW_ALIGNMENT) * VIEW_ALIGNMENT;
}

/** Throws unless an adapter of these settings can be made for the model. */
export function checkLora(model: LlamaConfig, config: LoraConfig): void {
  slotsOf(model, config, 'LoRA');
}

/** Paths of modules that PEFT may adapt and this does not. */
const NOT_ADAPTED = ['lm_head', 'model.embed_tokens'];

/** Which targets a path is meant by, as PEFT matches: the whole path, or its end after a dot. */
type Matcher = (path: string) => readonly string[];

function matcherOf(targets: string | readonly string[], name: string): Matcher {
  if (typeof targets !== 'string') {
    return (path) =>
      targets.filter((target) => target === 'all-linear' || path === target || path.endsWith(`.${target}`));
  }
  if (targets === 'all-linear') return () => [targets];
  let expression: RegExp;
  try {
    expression = new RegExp(`^(?:${targets})$`, 'u');
  } catch (error) {
    throw new UserError(
      `${name}: expected target_modules as names or a regular expression, got ${targets} (${messageOf(error)})`,
    );
  }
  const beyond = NOT_ADAPTED.find((path) => expression.test(path));
  if (beyond !== undefined) {
    throw new UserError(
      `${name}: target_modules ${targets} matches ${beyond}, which gets no factors; expected linear layers of the blocks alone`,
    );
  }
  return (path) => (expression.test(path) ? [targets] : []);
}

function slotsOf(
  model: LlamaConfig,
  { r, lora_alpha, lora_dropout = 0, target_modules: targets }: LoraConfig,
  name: string,
): Slot[] {
  if (!Number.isInteger(r) || r < 1)
    throw new UserError(`${name}: expected r as a positive integer, got ${r}`);
  if (!(lora_alpha > 0)) throw new UserError(`${name}: expected lora_alpha above 0, got ${lora_alpha}`);
  if (!(lora_dropout >= 0 && lora_dropout < 1)) {
    throw new UserError(`${name}: expected lora_dropout from 0 to below 1, got ${lora_dropout}`);
  }
  const matching = matcherOf(targets, name);
  const unused = new Set(typeof targets === 'string' ? [targets] : targets);
  const slots: Slot[] = [];
  let offset = 0;
  for (let block = 0; block < model.layers; block++) {
    for (const linear of LINEAR_NAMES) {
      const path = linearPath(block, linear);
      const hits = matching(path);
      if (hits.length === 0) continue;
      for (const hit of hits) unused.delete(hit);
      const [out, input] = linearShape(model, linear);
      const offsetB = offset + aligned(r * input);
      slots.push({ block, name: linear, out, in: input, offsetA: offset, offsetB });
      offset = offsetB + aligned(out * r);
    }
  }
  if (unused.size > 0 || slots.length === 0) {
    throw new UserError(
      `${name}: target_modules ${[...unused].join(', ') || '(empty)'} match no linear layer of a block; ` +
        `expected some of ${LINEAR_NAMES.join(', ')}, or all-linear`,
    );
  }
  return slots;
}

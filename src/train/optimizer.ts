import type { Tensor } from '../engine/engine.ts';
import type { Llama } from '../model/llama.ts';
import type { Adapter } from '../model/lora.ts';

export interface OptimizerConfig {
  readonly adam_beta1: number;
  readonly adam_beta2: number;
  readonly adam_epsilon: number;
  readonly weight_decay: number;
  /** 0 leaves gradients as they are. */
  readonly max_grad_norm: number;
}

/** AdamW over an adapter's flat parameters, with its two moments. */
export class Optimizer {
  readonly adapter: Adapter;
  readonly first: Tensor;
  readonly second: Tensor;
  #model: Llama;
  #config: OptimizerConfig;

  constructor(model: Llama, adapter: Adapter, config: OptimizerConfig) {
    this.adapter = adapter;
    this.first = model.engine.tensor([adapter.size]);
    this.second = model.engine.tensor([adapter.size]);
    this.#model = model;
    this.#config = config;
  }

  /** One update, the `step`-th from 1; writes Σ grad² before clipping to gradSquares `[1]`. */
  update(step: number, learningRate: number, gradSquares: Tensor): void {
    const { engine } = this.#model;
    const { adapter } = this;
    const {
      adam_beta1: beta1,
      adam_beta2: beta2,
      adam_epsilon: epsilon,
      weight_decay,
      max_grad_norm,
    } = this.#config;
    engine.sumSquares(gradSquares, adapter.gradients);
    engine.adamw(adapter.parameters, adapter.gradients, this.first, this.second, gradSquares, {
      learningRate,
      beta1,
      beta2,
      epsilon,
      weightDecay: weight_decay,
      biasCorrection1: 1 - integerPower(beta1, step),
      biasCorrection2: 1 - integerPower(beta2, step),
      maxGradNorm: max_grad_norm > 0 ? max_grad_norm : Infinity,
    });
  }

  free(): void {
    this.#model.engine.free(this.first, this.second);
  }
}

/** By squaring: Math.pow rounds differently from engine to engine. */
function integerPower(base: number, exponent: number): number {
  let result = 1;
  for (let square = base, rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= square;
    square *= square;
  }
  return result;
}

import type { Engine, Tensor } from '../engine/engine.ts';
import { VIEW_ALIGNMENT } from '../engine/engine.ts';
import type { ParameterGroup, Trainable } from './trainable.ts';

/** AdamW and clipping, by transformers' names. */
export interface OptimizerConfig {
  readonly adam_beta1: number;
  readonly adam_beta2: number;
  readonly adam_epsilon: number;
  /** Decoupled; norms and biases have none. */
  readonly weight_decay: number;
  /** 0 leaves gradients as they are. */
  readonly max_grad_norm: number;
}

/** A group with its two moments. */
export interface GroupState extends ParameterGroup {
  readonly first: Tensor;
  readonly second: Tensor;
}

/** AdamW over groups of parameters; clipping is by the norm over all of them. */
export class Optimizer {
  readonly states: readonly GroupState[];
  #engine: Engine;
  #config: OptimizerConfig;
  #squares: Tensor;
  #each: Tensor;

  constructor(engine: Engine, trainable: Trainable, config: OptimizerConfig) {
    this.#engine = engine;
    this.#config = config;
    this.states = trainable.groups.map((group) => ({
      ...group,
      first: engine.tensor(group.parameters.shape),
      second: engine.tensor(group.parameters.shape),
    }));
    const width = this.states.length * VIEW_ALIGNMENT;
    this.#squares = engine.tensor([1, width]);
    this.#each = engine.upload(new Float32Array(width).fill(1), [1, width]);
  }

  /** One update, the `step`-th from 1; writes Σ grad² before clipping to gradSquares `[1]`. */
  update(step: number, learningRate: number, gradSquares: Tensor): void {
    const engine = this.#engine;
    const {
      adam_beta1: beta1,
      adam_beta2: beta2,
      adam_epsilon: epsilon,
      weight_decay,
      max_grad_norm,
    } = this.#config;
    this.states.forEach(({ gradients }, i) => {
      engine.sumSquares(engine.view(this.#squares, i * VIEW_ALIGNMENT, [1]), gradients);
    });
    engine.maskedSum(gradSquares, this.#squares, this.#each);
    const options = {
      learningRate,
      beta1,
      beta2,
      epsilon,
      biasCorrection1: 1 - integerPower(beta1, step),
      biasCorrection2: 1 - integerPower(beta2, step),
      maxGradNorm: max_grad_norm > 0 ? max_grad_norm : Infinity,
    };
    for (const { parameters, gradients, first, second, decay } of this.states) {
      const weightDecay = decay ? weight_decay : 0;
      engine.adamw(parameters, gradients, first, second, gradSquares, { ...options, weightDecay });
    }
  }

  /** Σ parameter²: not finite once training has diverged. */
  async parameterSquares(): Promise<number> {
    const engine = this.#engine;
    const sum = engine.tensor([1]);
    this.states.forEach(({ parameters }, i) => {
      engine.sumSquares(engine.view(this.#squares, i * VIEW_ALIGNMENT, [1]), parameters);
    });
    engine.maskedSum(sum, this.#squares, this.#each);
    const [value] = await engine.read(sum);
    engine.free(sum);
    return value;
  }

  free(): void {
    const moments = this.states.flatMap(({ first, second }) => [first, second]);
    this.#engine.free(...moments, this.#squares, this.#each);
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

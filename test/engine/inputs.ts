import { keyOf, Random } from '../../src/random.ts';

/** Inputs that depend on nothing but `label`. */
export class Inputs {
  #random: Random;

  constructor(label: string) {
    this.#random = new Random(keyOf(1, label));
  }

  /** Uniform in [−scale, scale]. */
  floats(length: number, scale = 1): Float32Array {
    return Float32Array.from({ length }, () => (2 * this.#random.uniform() - 1) * scale);
  }

  integers(length: number, below: number): Uint32Array {
    return Uint32Array.from({ length }, () => this.#random.below(below));
  }
}

import type { Engine, Tensor } from '../engine/engine.ts';
import { VIEW_ALIGNMENT } from '../engine/engine.ts';

/** Part of a micro-batch's results: `shape` from element `offset` on, a multiple of `VIEW_ALIGNMENT`. */
export type Window = (offset: number, shape: readonly number[]) => Tensor;

/** `size` rounded up to where a view can start. */
export function aligned(size: number): number {
  return Math.ceil(size / VIEW_ALIGNMENT) * VIEW_ALIGNMENT;
}

/** What several steps left on the device: Σ grad² before clipping, and the results of each micro-batch. */
export interface StepValues {
  readonly gradSquares: number;
  readonly parts: readonly Float32Array[];
}

/**
 * Results of several steps, kept on the device until they are read together: a read waits for all work before it.
 */
export class StepRecorder {
  #engine: Engine;
  #capacity: number;
  #width: number;
  #stride: number;
  #buffer: Tensor;
  #microBatches: number[] = [];

  /** Room for `capacity` steps of at most `microBatches` micro-batches with at most `width` results. */
  constructor(engine: Engine, capacity: number, microBatches: number, width: number) {
    this.#engine = engine;
    this.#capacity = capacity;
    this.#width = aligned(width);
    this.#stride = VIEW_ALIGNMENT + microBatches * this.#width;
    this.#buffer = engine.tensor([capacity * this.#stride]);
  }

  get full(): boolean {
    return this.#microBatches.length === this.#capacity;
  }

  /** Where the step now recorded puts Σ grad². */
  gradSquares(): Tensor {
    return this.#engine.view(this.#buffer, this.#microBatches.length * this.#stride, [1]);
  }

  /** Where micro-batch `index` of the step now recorded puts its results. */
  window(index: number): Window {
    const start = this.#start(this.#microBatches.length, index);
    return (offset, shape) => this.#engine.view(this.#buffer, start + offset, shape);
  }

  /** Closes a step of so many micro-batches. */
  close(microBatches: number): void {
    this.#microBatches.push(microBatches);
  }

  /** The results of all steps since the last call. */
  async read(): Promise<StepValues[]> {
    if (this.#microBatches.length === 0) return [];
    const values = await this.#engine.read(this.#buffer);
    const steps = this.#microBatches.map((count, slot) => ({
      gradSquares: values[slot * this.#stride],
      parts: Array.from({ length: count }, (_, index) => {
        const start = this.#start(slot, index);
        return values.subarray(start, start + this.#width);
      }),
    }));
    this.#microBatches = [];
    return steps;
  }

  free(): void {
    this.#engine.free(this.#buffer);
  }

  #start(slot: number, index: number): number {
    return slot * this.#stride + VIEW_ALIGNMENT + index * this.#width;
  }
}

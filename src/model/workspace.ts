import type { Engine, Tensor } from '../engine/engine.ts';
import { VIEW_ALIGNMENT } from '../engine/engine.ts';
import { UserError } from '../errors.ts';

/** A tensor and the shapes it has been viewed as. */
interface Buffer {
  readonly whole: Tensor;
  readonly capacity: number;
  readonly views: Map<string, Tensor>;
}

/** Elements of buffers, by name. */
export type Capacities = ReadonlyMap<string, number>;

/**
 * Buffers that are used over and over, by name. Each grows to the largest shape asked of it, so that steps of like
 * size allocate nothing. A name has one user at a time, and what it holds is undefined until written. Where it is known
 * beforehand how large a buffer will have to be, it is made so at once: growing leaves holes in memory.
 */
export class Workspace {
  #engine: Engine;
  #buffers = new Map<string, Buffer>();
  #capacities: Capacities;

  constructor(engine: Engine, capacities: Capacities = new Map()) {
    this.#engine = engine;
    this.#capacities = capacities;
  }

  take(name: string, shape: readonly number[], dtype: 'f32' | 'u32' = 'f32'): Tensor {
    const size = shape.reduce((product, length) => product * length, 1);
    let buffer = this.#buffers.get(name);
    if (!buffer || buffer.capacity < size) {
      this.#check(name, shape, 4 * size);
      if (buffer) this.#engine.free(buffer.whole);
      const least = Math.max(size, this.#capacities.get(name) ?? 0);
      const capacity = Math.ceil(least / VIEW_ALIGNMENT) * VIEW_ALIGNMENT;
      buffer = { whole: this.#engine.tensor([capacity], dtype), capacity, views: new Map() };
      this.#buffers.set(name, buffer);
    }
    const key = shape.join();
    let view = buffer.views.get(key);
    if (!view) {
      view = this.#engine.view(buffer.whole, 0, shape);
      buffer.views.set(key, view);
    }
    return view;
  }

  /** A buffer with these values. */
  put(name: string, data: Float32Array | Uint32Array, shape: readonly number[] = [data.length]): Tensor {
    const tensor = this.take(name, shape, data instanceof Uint32Array ? 'u32' : 'f32');
    this.#engine.write(tensor, data);
    return tensor;
  }

  /** Operations take activations whole. */
  #check(name: string, shape: readonly number[], bytes: number): void {
    const most = this.#engine.limits.tensor;
    if (bytes <= most) return;
    throw new UserError(
      `memory: expected at most ${most} bytes, the largest tensor that this device takes at once, got ${bytes} for ` +
        `${name} [${shape.join(', ')}]. Use a smaller batch, shorter sequences or a smaller model.`,
    );
  }

  /** Bytes of each buffer, by name. */
  *sizes(): Generator<[name: string, bytes: number]> {
    for (const [name, { capacity }] of this.#buffers) yield [name, 4 * capacity];
  }

  /** Whether a buffer of at least so many elements is there. */
  holds(name: string, size: number): boolean {
    return (this.#buffers.get(name)?.capacity ?? -1) >= size;
  }

  /** Elements of each buffer. */
  capacities(): Capacities {
    return new Map(Array.from(this.#buffers, ([name, { capacity }]) => [name, capacity]));
  }

  /** Returns all buffers to the engine. */
  free(): void {
    for (const { whole } of this.#buffers.values()) this.#engine.free(whole);
    this.#buffers.clear();
  }
}

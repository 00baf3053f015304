import { UserError } from '../../errors.ts';
import { tensorChecks } from '../checks.ts';
import type { MemoryLimits, MemoryUse, Tensor } from '../engine.ts';

const PAGE = 65_536;
/** What an address of 32 bits reaches. */
const MOST_PAGES = 65_536;
const MOST = MOST_PAGES * PAGE;
export const WASM_LIMITS: MemoryLimits = { tensor: MOST, weights: MOST, total: MOST };
/** Kernels read whole vectors, up to this far past the end of a tensor. */
const SLACK = 64;
/** Of VIEW_ALIGNMENT elements, so that a view is as well aligned as a tensor. */
const ALIGNMENT = 256;

export class CpuTensor implements Tensor {
  readonly shape: readonly number[];
  readonly dtype: Tensor['dtype'];
  /** Byte offset in linear memory. */
  readonly pointer: number;
  readonly length: number;
  readonly isView: boolean;
  freed = false;

  constructor(
    shape: readonly number[],
    dtype: Tensor['dtype'],
    pointer: number,
    length: number,
    isView: boolean,
  ) {
    this.shape = shape;
    this.dtype = dtype;
    this.pointer = pointer;
    this.length = length;
    this.isView = isView;
  }
}

export const checks = tensorChecks(CpuTensor);

/** What the arena needs of a Wasm memory. */
export interface GrowingMemory {
  readonly buffer: { readonly byteLength: number };
  grow(pages: number): unknown;
}

interface Range {
  start: number;
  size: number;
}

/** Hands out ranges of a Wasm memory, best fit first; neighbours that are given back become one again. */
export class Arena {
  readonly memory: GrowingMemory;
  /** Free ranges in order of address. */
  #free: Range[] = [];
  #sizes = new Map<number, number>();
  #live = 0;
  #end: number;

  /** Everything from byte `start` on is the arena's. */
  constructor(memory: GrowingMemory, start: number) {
    this.memory = memory;
    this.#end = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
  }

  allocate(bytes: number): number {
    const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    let best: Range | undefined;
    for (const range of this.#free) {
      if (range.size >= size && (!best || range.size < best.size)) best = range;
    }
    const start = best ? best.start : this.#extend(bytes, size);
    if (best) {
      best.start += size;
      best.size -= size;
      if (best.size === 0) this.#free.splice(this.#free.indexOf(best), 1);
    }
    this.#sizes.set(start, size);
    this.#live += size;
    return start;
  }

  release(start: number): void {
    const size = this.#sizes.get(start)!;
    this.#sizes.delete(start);
    this.#live -= size;
    const at = this.#free.findIndex((range) => range.start > start);
    const index = at < 0 ? this.#free.length : at;
    const before = this.#free[index - 1];
    const after = this.#free[index];
    const joinsBefore = before && before.start + before.size === start;
    const joinsAfter = after && start + size === after.start;
    if (joinsBefore) before.size += size;
    if (joinsAfter) {
      after.start = joinsBefore ? before.start : start;
      after.size += joinsBefore ? before.size : size;
      if (joinsBefore) this.#free.splice(index - 1, 1);
    } else if (!joinsBefore) this.#free.splice(index, 0, { start, size });
  }

  /** A memory never shrinks: what it holds is the most it ever held. */
  use(): MemoryUse {
    const held = this.memory.buffer.byteLength;
    return { live: this.#live, held, peak: held };
  }

  bytes(start: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.memory.buffer as ArrayBuffer, start, length);
  }

  floats(start: number, length: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.memory.buffer as ArrayBuffer, start, length);
  }

  words(start: number, length: number): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.memory.buffer as ArrayBuffer, start, length);
  }

  /** New memory behind the last range, which it takes in where that is free. */
  #extend(bytes: number, size: number): number {
    const last = this.#free.at(-1);
    const joins = last && last.start + last.size === this.#end;
    const start = joins ? last.start : this.#end;
    const pages = Math.ceil((start + size + SLACK) / PAGE);
    const missing = pages - this.memory.buffer.byteLength / PAGE;
    if (pages > MOST_PAGES) throw this.#full(bytes, 'more than the 4 GiB that Wasm addresses');
    try {
      if (missing > 0) this.memory.grow(missing);
    } catch {
      throw this.#full(bytes, 'which this host does not have');
    }
    if (joins) this.#free.pop();
    this.#end = start + size;
    return start;
  }

  #full(bytes: number, why: string): UserError {
    const mebibytes = (value: number) => Math.ceil(value / 2 ** 20);
    return new UserError(
      `tensor: expected at most 4096 MiB in all, got ${mebibytes(bytes)} MiB beside ${mebibytes(this.#end)} MiB, ${why}`,
      2,
      ['use a smaller batch, a shorter sequence or a smaller model', 'use a GPU (--device webgpu)'],
    );
  }
}

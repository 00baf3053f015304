import type { Kernels } from '../wasm.ts';
import { granted, type Pass, type RawBlocks } from './raw_kernels.ts';
import { BLOCK } from './table.ts';

/** What is kept stays below this: beyond, the source is read again for each evaluation. */
const MOST_BYTES = 1 << 28;
/** Blocks worked on at a time. */
const MOST_BLOCKS = 512;

/** Copies of raw blocks, one after another in the kernels' memory. */
export class Kept implements Pass {
  #kernels: Kernels;
  #constraints: number;
  #pointers: number[] = [];
  #responses: number[] = [];
  #rows = 0;
  #bytes = 0;
  #longest = 0;
  #full = false;
  #list: { at: number; length: number } = { at: 0, length: 0 };

  constructor(kernels: Kernels, constraints: number) {
    this.#kernels = kernels;
    this.#constraints = constraints;
  }

  /** Whether there was too much to keep: what is here is not all. */
  get full(): boolean {
    return this.#full;
  }

  /** Copies blocks behind those before. */
  add({ raws, count, rows, longest }: RawBlocks): void {
    const { exports } = this.#kernels;
    const start = exports.mark() >>> 0;
    for (let block = 0; block < count && !this.#full; block++) {
      const raw = this.#words(raws, count)[block];
      const kept = exports.keepRaw(raw, this.#constraints);
      this.#full = kept === 0;
      this.#pointers.push(kept);
      this.#responses.push(this.#words(raw, 2)[1]);
    }
    this.#rows += rows;
    this.#longest = Math.max(this.#longest, longest);
    this.#bytes += (exports.mark() >>> 0) - start;
    if (this.#bytes > MOST_BYTES) this.#full = true;
  }

  #words(pointer: number, length: number): Uint32Array {
    return new Uint32Array(this.#kernels.exports.memory.buffer, pointer >>> 0, length);
  }

  async each(use: (blocks: RawBlocks, first: number) => void): Promise<void> {
    const { length } = this.#pointers;
    if (this.#list.length < length) {
      this.#list = { at: granted(this.#kernels.exports.allocate(4 * length)), length };
      this.#words(this.#list.at, length).set(this.#pointers);
    }
    for (let first = 0; first < length; first += MOST_BLOCKS) {
      const sizes = this.#responses.slice(first, first + MOST_BLOCKS);
      const blocks = {
        raws: this.#list.at + 4 * first,
        count: sizes.length,
        rows: Math.min(sizes.length * BLOCK, this.#rows - first * BLOCK),
        responses: sizes.reduce((sum, size) => sum + size, 0),
        largest: Math.max(...sizes),
        longest: this.#longest,
      };
      use(blocks, first);
    }
  }
}

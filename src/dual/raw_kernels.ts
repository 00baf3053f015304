import { UserError } from '../errors.ts';
import type { Scratch } from '../pool.ts';
import type { Kernels, ShareName } from '../wasm.ts';
import { createLanes, share } from './share.ts';
import { BLOCK } from './table.ts';

/** Blocks of raw rows in the kernels' memory. */
export interface RawBlocks {
  /** u32[count]: where the Raw of each lies (assembly/dual/raw.ts). */
  readonly raws: number;
  readonly count: number;
  readonly rows: number;
  readonly responses: number;
  /** Most responses of a block, and of a row. */
  readonly largest: number;
  readonly longest: number;
}

/** A walk over all rows of a table in blocks, all of BLOCK rows but the last one. */
export interface Pass {
  /** Calls `use` with some blocks after another; `first` is the number of those before. */
  each(use: (blocks: RawBlocks, first: number) => void): Promise<void>;
}

/** What the kernels do to a row beside looking at its responses, in their number. */
const ROW_WORK = 16;

/** Runs kernels over blocks of raw rows, with memory for each thread to centre a block in. */
export class RawKernels {
  #kernels: Kernels;
  #constraints: number;
  #weighted: boolean;
  #lanes: Scratch = { start: 0, size: 0 };
  #elements = 0;
  #longest = 0;

  constructor(kernels: Kernels, constraints: number, weighted: boolean) {
    this.#kernels = kernels;
    this.#constraints = constraints;
    this.#weighted = weighted;
  }

  /** `args` stand between the blocks and the lane. */
  run(
    kernel: ShareName,
    { raws, count, rows, responses, largest, longest }: RawBlocks,
    args: readonly number[],
  ): void {
    this.#makeRoom(largest + BLOCK, longest + 1);
    share(this.#kernels, kernel, count, responses + ROW_WORK * rows, [raws, ...args], this.#lanes);
  }

  /** What is too small is left behind: each time there is at least half as much again. */
  #makeRoom(elements: number, longest: number): void {
    if (elements <= this.#elements && longest <= this.#longest) return;
    if (elements > this.#elements) this.#elements = Math.max(elements, Math.ceil(1.5 * this.#elements));
    if (longest > this.#longest) this.#longest = Math.max(longest, Math.ceil(1.5 * this.#longest));
    const { exports } = this.#kernels;
    this.#lanes = createLanes(this.#kernels, Number.POSITIVE_INFINITY, () =>
      exports.createLane(this.#constraints, this.#elements, this.#longest, this.#weighted),
    );
    if (this.#lanes.start === 0) throw outOfMemory();
  }
}

/** A pointer that the kernels gave; throws a UserError where they ran out of memory. */
export function granted(pointer: number): number {
  if (pointer === 0) throw outOfMemory();
  return pointer;
}

function outOfMemory(): UserError {
  return new UserError(
    'scores: the memory of WebAssembly is exhausted; take fewer responses a prompt, or a smaller β or fewer prompts',
  );
}

import { Pool, type Scratch, type StartThreads } from '../../pool.ts';
import { Arena } from './memory.ts';
import { instantiatePolicy, KERNEL_NAMES, type KernelName, type PolicyExports, policyWasm } from './wasm.ts';

const FIRST_PAGES = 1;
const MOST_PAGES = 65_536;

const DEFAULT_LEAST_SHARED = 200_000;

/** How many threads the CPU engine takes, and from where. */
export interface CpuEngineOptions {
  /** Threads to compute with; results do not depend on it. 1 by default. */
  readonly threads?: number;
  /** How this host starts threads; without it there is one. */
  readonly startThreads?: StartThreads;
  /** Arithmetic operations of the smallest job that is worth waking threads for; 200 000 by default. */
  readonly leastShared?: number;
}

/** What operations need of what runs their kernels. */
export interface KernelRunner {
  readonly exports: PolicyExports;
  readonly arena: Arena;
  readonly threads: number;
  run(kernel: KernelName, units: number, args: readonly number[], work: number, scratchBytes?: number): void;
}

/** Scratch of all threads, which grows to the most that a kernel asks for. */
export class ScratchSpace {
  #arena: Arena;
  #threads: number;
  #scratch: Scratch = { start: 0, size: 0 };

  constructor(arena: Arena, threads: number) {
    this.#arena = arena;
    this.#threads = threads;
  }

  /** At least so many bytes for each thread. */
  reserve(bytes: number): Scratch {
    if (bytes > this.#scratch.size) {
      const { start, size: old } = this.#scratch;
      this.#scratch = { start: 0, size: 0 };
      if (old > 0) this.#arena.release(start);
      const size = Math.ceil(bytes / 64) * 64;
      this.#scratch = { start: this.#arena.allocate(size * this.#threads), size };
    }
    return this.#scratch;
  }
}

/** Runs kernels over their units of work, on one thread or several. */
export class Runner implements KernelRunner {
  readonly exports: PolicyExports;
  readonly arena: Arena;
  readonly threads: number;
  #pool: Pool<KernelName> | undefined;
  #leastShared: number;
  #scratch: ScratchSpace;
  #destroyed = false;

  private constructor(
    exports: PolicyExports,
    memory: WebAssembly.Memory,
    pool: Pool<KernelName> | undefined,
    leastShared: number,
  ) {
    this.exports = exports;
    this.arena = new Arena(memory, exports.heapBase.value);
    this.threads = pool?.size ?? 1;
    this.#pool = pool;
    this.#leastShared = leastShared;
    this.#scratch = new ScratchSpace(this.arena, this.threads);
  }

  static async create(options: CpuEngineOptions): Promise<Runner> {
    const { threads = 1, startThreads, leastShared = DEFAULT_LEAST_SHARED } = options;
    const shared = threads > 1 && startThreads !== undefined;
    const module = await WebAssembly.compile(policyWasm(shared));
    const memory = new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MOST_PAGES, shared });
    const exports = instantiatePolicy(module, memory);
    const pool = shared ? new Pool(module, memory, KERNEL_NAMES, threads, startThreads) : undefined;
    return new Runner(exports, memory, pool, leastShared);
  }

  /**
   * Computes units 0 … `units` − 1 of a kernel that needs `scratchBytes` of scratch. `work` is about how many
   * arithmetic operations that takes.
   */
  run(kernel: KernelName, units: number, args: readonly number[], work: number, scratchBytes = 0): void {
    this.check();
    if (units === 0) return;
    const scratch = this.#scratch.reserve(scratchBytes);
    if (this.#pool && units > 1 && work >= this.#leastShared) {
      this.#pool.run(this.exports, kernel, units, args, scratch);
    } else {
      this.exports[kernel](...args, scratch.start, 0, units);
    }
  }

  /** Throws once the engine is destroyed. */
  check(): void {
    if (this.#destroyed) throw new Error('The engine was destroyed');
  }

  destroy(): void {
    this.#destroyed = true;
    this.#pool?.terminate();
    this.#pool = undefined;
  }
}

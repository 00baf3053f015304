import { Arena } from './memory.ts';
import { instantiatePolicy, type KernelName, type PolicyExports, policyWasm } from './wasm.ts';

/** Pages the module's own data needs at least. */
const FIRST_PAGES = 1;
const MOST_PAGES = 65_536;

/** Runs kernels over their units of work. */
export class Runner {
  readonly exports: PolicyExports;
  readonly arena: Arena;
  #scratch = 0;
  #scratchSize = 0;
  #destroyed = false;

  private constructor(exports: PolicyExports, memory: WebAssembly.Memory) {
    this.exports = exports;
    this.arena = new Arena(memory, exports.heapBase.value);
  }

  static async create(): Promise<Runner> {
    const module = await WebAssembly.compile(policyWasm(false));
    const memory = new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MOST_PAGES });
    return new Runner(instantiatePolicy(module, memory), memory);
  }

  /** Computes units 0 … `units` − 1 of a kernel that needs `scratchBytes` of scratch. */
  run(kernel: KernelName, units: number, args: readonly number[], scratchBytes = 0): void {
    this.check();
    if (units === 0) return;
    this.exports[kernel](...args, this.#reserve(scratchBytes), 0, units);
  }

  /** Throws once the engine is destroyed. */
  check(): void {
    if (this.#destroyed) throw new Error('The engine was destroyed');
  }

  destroy(): void {
    this.#destroyed = true;
  }

  #reserve(bytes: number): number {
    if (bytes > this.#scratchSize) {
      if (this.#scratchSize > 0) this.arena.release(this.#scratch);
      this.#scratchSize = 0;
      this.#scratch = this.arena.allocate(bytes);
      this.#scratchSize = bytes;
    }
    return this.#scratch;
  }
}

import { KERNEL_NAMES, type KernelName, type PolicyExports } from './wasm.ts';

/** Threads of the host, each of which runs a script that calls the function of that text with `message`. */
export type StartThreads = (text: string, message: unknown, count: number) => Threads;

export interface Threads {
  terminate(): void;
}

/** Scratch memory of the threads: thread i has `size` bytes at start + i · size. */
export interface Scratch {
  readonly start: number;
  readonly size: number;
}

/**
 * Words of the block that threads share; the arguments of the job under way stand behind them.
 * - generation: number of the job; threads sleep on it
 * - next: first unit that nobody has taken
 * - pending: threads that have not finished the job; the main thread sleeps on it
 * - started: threads that wait to be admitted
 * - failed: threads that threw
 * - kernel, units, grain, count: the job: which kernel, how many units, how many to take at once, number of arguments
 * - scratch: two words, start and size
 * - admitted: a word per thread: 1 + the generation after which the main thread counts on it
 */
export const WORDS = {
  generation: 0,
  next: 1,
  pending: 2,
  started: 3,
  failed: 4,
  kernel: 5,
  units: 6,
  grain: 7,
  count: 8,
  scratch: 9,
  admitted: 12,
} as const;
const MOST_THREADS = 64;
const ARGUMENTS_AT = 4 * (WORDS.admitted + MOST_THREADS);
const MOST_ARGUMENTS = 32;

/** Looks at a word before sleeping on it: to fall asleep and wake takes longer than most jobs. */
const LOOKS = 20_000;
/** Parts of a job per thread: the more, the less a slow thread holds up the rest. */
const SHARES = 4;

interface ThreadMessage {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly block: SharedArrayBuffer;
  readonly words: typeof WORDS;
  readonly argumentsAt: number;
  readonly kernels: readonly string[];
  readonly looks: number;
}

/** What a thread runs. Its text is sent there, so it refers to nothing outside. */
function serve({ module, memory, block, words, argumentsAt, kernels, looks }: ThreadMessage): void {
  type Kernel = (...args: number[]) => void;
  const exports = new WebAssembly.Instance(module, { env: { memory } }).exports as Record<string, Kernel>;
  const control = new Int32Array(block);
  const values = new Float64Array(block, argumentsAt);
  const index = Atomics.add(control, words.started, 1);
  Atomics.wait(control, words.admitted + index, 0);
  let seen = Atomics.load(control, words.admitted + index) - 1;
  for (;;) {
    for (let left = looks; Atomics.load(control, words.generation) === seen; ) {
      if (left > 0) left--;
      else Atomics.wait(control, words.generation, seen);
    }
    seen = (seen + 1) | 0;
    const units = control[words.units];
    const grain = control[words.grain];
    const args = Array.from(values.subarray(0, control[words.count]));
    args.push(control[words.scratch] + (index + 1) * control[words.scratch + 1]);
    try {
      const kernel = exports[kernels[control[words.kernel]]];
      for (;;) {
        const first = Atomics.add(control, words.next, grain);
        if (first >= units) break;
        kernel(...args, first, Math.min(first + grain, units));
      }
    } catch {
      Atomics.add(control, words.failed, 1);
    }
    if (Atomics.sub(control, words.pending, 1) === 1) Atomics.notify(control, words.pending);
  }
}

/** Threads that take a share of each job beside the one that gives it, which waits for the rest. */
export class Pool {
  /** Threads that a job will have, the giver's included. */
  readonly size: number;
  #threads: Threads;
  #control: Int32Array;
  #values: Float64Array;
  /** Threads counted on. Others may still be starting, and take no part until then. */
  #admitted = 0;

  /** `memory` is shared; `size` is at least 2. */
  constructor(
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    size: number,
    startThreads: StartThreads,
  ) {
    this.size = Math.min(size, MOST_THREADS + 1);
    const block = new SharedArrayBuffer(ARGUMENTS_AT + 8 * MOST_ARGUMENTS);
    this.#control = new Int32Array(block);
    this.#values = new Float64Array(block, ARGUMENTS_AT);
    const message: ThreadMessage = {
      module,
      memory,
      block,
      words: WORDS,
      argumentsAt: ARGUMENTS_AT,
      kernels: KERNEL_NAMES,
      looks: LOOKS,
    };
    this.#threads = startThreads(String(serve), message, this.size - 1);
  }

  /** Computes units 0 … `units` − 1 of a kernel. */
  run(
    exports: PolicyExports,
    kernel: KernelName,
    units: number,
    args: readonly number[],
    scratch: Scratch,
  ): void {
    const control = this.#control;
    const compute = exports[kernel];
    this.#admit();
    if (this.#admitted === 0) {
      compute(...args, scratch.start, 0, units);
      return;
    }
    const grain = Math.max(1, Math.floor(units / ((this.#admitted + 1) * SHARES)));
    this.#values.set(args);
    control[WORDS.count] = args.length;
    control[WORDS.scratch] = scratch.start;
    control[WORDS.scratch + 1] = scratch.size;
    control[WORDS.kernel] = KERNEL_NAMES.indexOf(kernel);
    control[WORDS.units] = units;
    control[WORDS.grain] = grain;
    Atomics.store(control, WORDS.next, 0);
    Atomics.store(control, WORDS.pending, this.#admitted);
    Atomics.add(control, WORDS.generation, 1);
    Atomics.notify(control, WORDS.generation);
    for (;;) {
      const first = Atomics.add(control, WORDS.next, grain);
      if (first >= units) break;
      compute(...args, scratch.start, first, Math.min(first + grain, units));
    }
    this.#join();
    if (Atomics.load(control, WORDS.failed) > 0)
      throw new Error(`${kernel}: a thread of the CPU engine failed`);
  }

  terminate(): void {
    this.#threads.terminate();
  }

  /** Counts on the threads that have started since the last job. */
  #admit(): void {
    const started = Atomics.load(this.#control, WORDS.started);
    while (this.#admitted < started) {
      const word = WORDS.admitted + this.#admitted++;
      Atomics.store(this.#control, word, this.#control[WORDS.generation] + 1);
      Atomics.notify(this.#control, word);
    }
  }

  #join(): void {
    for (let left = LOOKS; ; ) {
      const pending = Atomics.load(this.#control, WORDS.pending);
      if (pending === 0) return;
      if (left > 0) left--;
      else Atomics.wait(this.#control, WORDS.pending, pending);
    }
  }
}

/** A kernel of a Wasm module: what it computes as numbers, then where its thread's scratch is and its units [first, end). */
export type Kernel = (...args: number[]) => void;

/** Threads of the host, each of which runs a script that calls the function of that text with `message`. */
export type StartThreads = (text: string, message: unknown, count: number) => Threads;

/** Threads that were started. */
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
 * - state: threads at work on the job, plus CLOSED once none may join; the giver sleeps on it
 * - next: first unit that nobody has taken
 * - started: threads that are there
 * - failed: threads that threw
 * - kernel, units, grain, count: the job: which kernel, how many units, how many to take at once, number of arguments
 * - scratch: two words, start and size
 * - ended: 1 once threads are to return
 */
export const WORDS = {
  generation: 0,
  state: 1,
  next: 2,
  started: 3,
  failed: 4,
  kernel: 5,
  units: 6,
  grain: 7,
  count: 8,
  scratch: 9,
  ended: 11,
} as const;
const CLOSED = 0x10000;
const ARGUMENTS_AT = 64;
const MOST_ARGUMENTS = 32;

/** Looks at a word before sleeping on it: to fall asleep and wake takes longer than most jobs. */
const LOOKS = 20_000;
/** Parts of a job per thread: the more, the less a slow thread holds up the rest. */
const SHARES = 4;

export interface ThreadMessage {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly block: SharedArrayBuffer;
  readonly words: typeof WORDS;
  readonly closed: number;
  readonly argumentsAt: number;
  readonly kernels: readonly string[];
  readonly looks: number;
}

/** What a thread runs. Its text is sent there, so it refers to nothing outside. */
export function serve({
  module,
  memory,
  block,
  words,
  closed,
  argumentsAt,
  kernels,
  looks,
}: ThreadMessage): void {
  type Kernel = (...args: number[]) => void;
  const exports = new WebAssembly.Instance(module, { env: { memory } }).exports as Record<string, Kernel>;
  const control = new Int32Array(block);
  const values = new Float64Array(block, argumentsAt);
  const index = Atomics.add(control, words.started, 1) + 1;

  /** Joins the job unless it is closed: whoever comes late would only keep the giver waiting. */
  function join(): boolean {
    let state = Atomics.load(control, words.state);
    while (state < closed) {
      const found = Atomics.compareExchange(control, words.state, state, state + 1);
      if (found === state) return true;
      state = found;
    }
    return false;
  }

  function work(): void {
    const units = control[words.units];
    const grain = control[words.grain];
    const kernel = exports[kernels[control[words.kernel]]];
    const args = Array.from(values.subarray(0, control[words.count]));
    args.push(control[words.scratch] + index * control[words.scratch + 1]);
    for (;;) {
      const first = Atomics.add(control, words.next, grain);
      if (first >= units) return;
      kernel(...args, first, Math.min(first + grain, units));
    }
  }

  for (;;) {
    let seen = Atomics.load(control, words.generation);
    if (Atomics.load(control, words.ended) > 0) return;
    if (join()) {
      seen = Atomics.load(control, words.generation);
      try {
        work();
      } catch {
        Atomics.add(control, words.failed, 1);
      }
      if (Atomics.sub(control, words.state, 1) === closed + 1) Atomics.notify(control, words.state);
    }
    for (let left = looks; Atomics.load(control, words.generation) === seen; ) {
      if (left > 0) left--;
      else Atomics.wait(control, words.generation, seen);
    }
  }
}

/** Threads that take a share of each job beside the one that gives it, which waits for those that have joined. */
export class Pool<Name extends string> {
  /** Threads that a job will have, the giver's included. */
  readonly size: number;
  #kernels: readonly Name[];
  #threads: Threads;
  #control: Int32Array;
  #values: Float64Array;

  /** `memory` is shared, and the `env.memory` of a module that exports `kernels`; `size` is at least 2. */
  constructor(
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    kernels: readonly Name[],
    size: number,
    startThreads: StartThreads,
  ) {
    this.size = size;
    this.#kernels = kernels;
    const block = new SharedArrayBuffer(ARGUMENTS_AT + 8 * MOST_ARGUMENTS);
    this.#control = new Int32Array(block);
    this.#values = new Float64Array(block, ARGUMENTS_AT);
    this.#control[WORDS.state] = CLOSED;
    const message: ThreadMessage = {
      module,
      memory,
      block,
      words: WORDS,
      closed: CLOSED,
      argumentsAt: ARGUMENTS_AT,
      kernels,
      looks: LOOKS,
    };
    this.#threads = startThreads(String(serve), message, this.size - 1);
  }

  /** Computes units 0 … `units` − 1 of a kernel. */
  run(
    exports: Readonly<Record<Name, Kernel>>,
    kernel: Name,
    units: number,
    args: readonly number[],
    scratch: Scratch,
  ): void {
    const control = this.#control;
    const compute = exports[kernel];
    const grain = Math.max(1, Math.floor(units / (this.size * SHARES)));
    this.#values.set(args);
    control[WORDS.count] = args.length;
    control[WORDS.scratch] = scratch.start;
    control[WORDS.scratch + 1] = scratch.size;
    control[WORDS.kernel] = this.#kernels.indexOf(kernel);
    control[WORDS.units] = units;
    control[WORDS.grain] = grain;
    control[WORDS.next] = 0;
    Atomics.store(control, WORDS.state, 0);
    Atomics.add(control, WORDS.generation, 1);
    Atomics.notify(control, WORDS.generation);
    for (;;) {
      const first = Atomics.add(control, WORDS.next, grain);
      if (first >= units) break;
      compute(...args, scratch.start, first, Math.min(first + grain, units));
    }
    this.#close();
    if (Atomics.load(control, WORDS.failed) > 0) throw new Error(`${kernel}: a thread failed`);
  }

  /** Only between jobs. Threads return by themselves: one that sleeps on shared memory is not ended by Deno. */
  terminate(): void {
    Atomics.store(this.#control, WORDS.ended, 1);
    Atomics.add(this.#control, WORDS.generation, 1);
    Atomics.notify(this.#control, WORDS.generation);
    this.#threads.terminate();
  }

  #close(): void {
    Atomics.or(this.#control, WORDS.state, CLOSED);
    for (let left = LOOKS; ; ) {
      const state = Atomics.load(this.#control, WORDS.state);
      if (state === CLOSED) return;
      if (left > 0) left--;
      else Atomics.wait(this.#control, WORDS.state, state);
    }
  }
}

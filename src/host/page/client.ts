import * as Comlink from 'comlink';

/** A page's hand on what its worker exposes by Comlink; the worker is started when first needed. */
export class WorkerClient<T> {
  #start: () => Worker;
  #worker: Worker | undefined;
  #remote: Comlink.Remote<T> | undefined;
  #ended = ending();

  constructor(start: () => Worker) {
    this.#start = start;
  }

  /** Calls the worker; arguments that are `callback`s are called back. Rejects with `Cancelled` once it is ended. */
  async call<R>(use: (remote: Comlink.Remote<T>) => Promise<R>): Promise<R> {
    if (!this.#remote) {
      this.#worker = this.#start();
      // Errors of calls come as messages; this is a worker that could not start, or ran out of memory.
      this.#worker.onerror = ({ message }) => this.#end(new Error(`the worker stopped: ${message}`));
      this.#remote = Comlink.wrap<T>(this.#worker);
    }
    return await Promise.race([use(this.#remote), this.#ended.promise]);
  }

  /** Ends all that the worker does, at once; the next call starts another. */
  cancel(): void {
    this.#end(new Cancelled());
  }

  #end(error: Error): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#remote = undefined;
    const { reject } = this.#ended;
    this.#ended = ending();
    reject(error);
  }
}

/** A promise that is only ever rejected. */
function ending(): { promise: Promise<never>; reject: (error: Error) => void } {
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<never>((_, refuse) => {
    reject = refuse;
  });
  // Nobody may be waiting for it.
  promise.catch(() => {});
  return { promise, reject };
}

/** The work was cancelled. */
export class Cancelled extends Error {
  constructor() {
    super('cancelled');
    this.name = 'Cancelled';
  }
}

/** A function that a worker may call. */
export const callback: typeof Comlink.proxy = Comlink.proxy;

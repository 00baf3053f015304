import * as Comlink from 'comlink';
import type { Workbench } from './workbench.ts';

/** A page's hand on its workbench in a worker, which is started when first needed. */
export class WorkbenchClient {
  #start: () => Worker;
  #worker: Worker | undefined;
  #remote: Comlink.Remote<Workbench> | undefined;
  #ended = ending();

  constructor(start: () => Worker) {
    this.#start = start;
  }

  /** Calls the workbench; functions among the arguments are called back. Rejects with `Cancelled` once it is ended. */
  async call<R>(use: (bench: Comlink.Remote<Workbench>) => Promise<R>): Promise<R> {
    if (!this.#remote) {
      this.#worker = this.#start();
      const { reject } = this.#ended;
      // Comlink's own errors come as messages; this is a worker that could not start, or ran out of memory.
      this.#worker.onerror = ({ message }) => reject(new Error(`the worker stopped: ${message}`));
      this.#remote = Comlink.wrap<Workbench>(this.#worker);
    }
    return await Promise.race([use(this.#remote), this.#ended.promise]);
  }

  /** Ends all that the workbench does, at once. */
  cancel(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#remote = undefined;
    const { reject } = this.#ended;
    this.#ended = ending();
    reject(new Cancelled());
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

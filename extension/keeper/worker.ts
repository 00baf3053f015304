import { UserError } from '../../src/errors.ts';
import type { FromWorker, Job, Results, Told, ToWorker } from '../work/protocol.ts';

/** How long a worker without work keeps the model in memory, in ms. */
const IDLE = 10 * 60_000;

/** The worker of the keeper, started when there is work and ended to stop it: what it wrote stays whole. */
export class JobWorker {
  #worker: Worker | undefined;
  #cancel: (() => void) | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;

  /** Does a job; at most one at a time. */
  async run<J extends Job>(job: J, onTold: (told: Told) => void = () => {}): Promise<Results[J['kind']]> {
    if (this.#cancel) throw new UserError('The model is busy; wait for it, or stop it first.');
    clearTimeout(this.#idle);
    this.#worker ??= new Worker(new URL('../work/main.ts', import.meta.url), { type: 'module' });
    const worker = this.#worker;
    try {
      return await new Promise<Results[J['kind']]>((resolve, reject) => {
        this.#cancel = () => reject(new Stopped());
        worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
          if ('told' in data) onTold(data.told);
          else if ('error' in data) reject(new UserError(data.error));
          else resolve(data.result as Results[J['kind']]);
        };
        worker.onerror = ({ message }) => {
          this.#end();
          reject(new UserError(`The worker failed (${message || 'it could not be started'}).`));
        };
        worker.postMessage({ job } satisfies ToWorker);
      });
    } finally {
      this.#cancel = undefined;
      this.#idle = setTimeout(() => this.#end(), IDLE);
    }
  }

  /** Asks the job to end with what it has. */
  finish(): void {
    this.#worker?.postMessage({ stop: true } satisfies ToWorker);
  }

  /** Ends the worker, and with it a job: that fails as `Stopped`. */
  end(): void {
    this.#end();
    this.#cancel?.();
  }

  #end(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
  }
}

/** What a job fails with that was ended. */
export class Stopped extends Error {
  constructor() {
    super('Stopped.');
  }
}

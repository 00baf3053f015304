import type { StartThreads, Threads } from '../pool.ts';

/** Threads beyond these bring little: memory is what they wait for. */
const MOST_THREADS = 8;

/** Whether threads can share memory here, and this one can wait for the others: not so on a browser's main thread. */
function canShare(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}

/** Threads to use where the user names no number. */
export function defaultThreads(): number {
  return canShare() ? Math.min(MOST_THREADS, globalThis.navigator?.hardwareConcurrency ?? 1) : 1;
}

let startWorker: (() => Worker) | undefined;

/**
 * Has threads in browsers start this worker, which is to call `serve` (src/pool.ts) with the data of its first message,
 * where a page's policy refuses the script that they are started with else.
 */
export function useThreadWorker(start: () => Worker): void {
  startWorker = start;
}

/** Threads of this host: worker_threads in Node and Deno, Web Workers in browsers. Undefined where memory is not shared. */
export function threadStarter(): StartThreads | undefined {
  if (!canShare()) return undefined;
  return typeof process === 'undefined' ? startWebThreads : startNodeThreads;
}

/** A thread that cannot start is missed by nobody: jobs run on those that have. */
function startsWithout(): void {}

function startNodeThreads(text: string, message: unknown, count: number): Threads {
  const { Worker } = process.getBuiltinModule('node:worker_threads');
  const source = `(${text})(require('node:worker_threads').workerData);`;
  const workers = Array.from({ length: count }, () => {
    const worker = new Worker(source, { eval: true, workerData: message });
    // A thread that waits for work must not keep the process alive.
    worker.unref();
    worker.on('error', startsWithout);
    return worker;
  });
  return { terminate: () => void workers.map((worker) => worker.terminate()) };
}

function startWebThreads(text: string, message: unknown, count: number): Threads {
  const source = `onmessage = ({ data }) => (${text})(data);`;
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  const start = startWorker ?? (() => new Worker(url, { type: 'module' }));
  const workers = Array.from({ length: count }, () => {
    const worker = start();
    worker.onerror = (event) => event.preventDefault();
    worker.postMessage(message);
    return worker;
  });
  return {
    terminate() {
      for (const worker of workers) worker.terminate();
      URL.revokeObjectURL(url);
    },
  };
}

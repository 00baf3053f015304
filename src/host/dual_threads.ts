import { Pool } from '../pool.ts';
import {
  createMemory,
  instantiate,
  type Kernels,
  loadWasm,
  SHARE_NAMES,
  type ShareName,
  sharedWasm,
  useKernels,
} from '../wasm.ts';
import { defaultThreads, threadStarter } from './threads.ts';

/** Kernels of the dual with threads, for all functions that take kernels. */
export interface ThreadedKernels extends Kernels {
  /** Ends the threads; the kernels are of no use afterwards. Threads do not keep Node or Deno from ending. */
  terminate(): void;
}

/**
 * Kernels that share the work on large tables among `threads` threads, all cores but at most 8 if left out; results have
 * the same bits for any number. The threads start with the first table large enough to be worth it. Where the host
 * shares no memory between threads (a browser's page, a page that is not cross-origin isolated, an edge worker), there
 * is one.
 */
export async function threadedKernels(threads: number = defaultThreads()): Promise<ThreadedKernels> {
  const plain = await loadWasm();
  const startThreads = threadStarter();
  if (threads < 2 || !startThreads) return { ...plain, terminate() {} };
  const module = await WebAssembly.compile(await sharedWasm());
  const memory = createMemory(true);
  let pool: Pool<ShareName> | undefined;
  return {
    ...instantiate(module, memory),
    fresh: plain.fresh,
    pool: {
      size: threads,
      run(...job) {
        pool ??= new Pool(module, memory, SHARE_NAMES, threads, startThreads);
        pool.run(...job);
      },
    },
    terminate: () => pool?.terminate(),
  };
}

/**
 * Lets all functions of the dual share their work on large tables among `threads` threads (`threadedKernels`) from now
 * on, those that take no kernels.
 */
export async function useThreads(threads?: number): Promise<void> {
  useKernels(await threadedKernels(threads));
}

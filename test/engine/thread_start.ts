import { threadStarter } from '../../src/host/threads.ts';
import { type StartThreads, WORDS } from '../../src/pool.ts';

const PATIENCE_MS = 10_000;

/** The host's way to start threads, and when all have: until then jobs run without those that are missing. */
export function watchedStarter(): { startThreads: StartThreads; started(): Promise<void> } {
  const start = threadStarter();
  if (!start) throw new Error('expected a host that shares memory among threads');
  let words: Int32Array | undefined;
  let wanted = 0;
  return {
    startThreads(text, message, count) {
      words = new Int32Array((message as { block: SharedArrayBuffer }).block);
      wanted = count;
      return start(text, message, count);
    },
    async started() {
      const end = performance.now() + PATIENCE_MS;
      while (!words || Atomics.load(words, WORDS.started) < wanted) {
        if (performance.now() > end) throw new Error(`expected ${wanted} threads to start`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}

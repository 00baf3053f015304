/**
 * Opens and destroys engines of three threads, on Linux, and prints how many threads more this process has after many of
 * them than after a few, once they are as few as a host itself may start meanwhile.
 */
import { readdirSync } from 'node:fs';
import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import { watchedStarter } from './thread_start.ts';

const [FEW, MANY] = [2, 12];
const OF_THE_HOST = 4;
const PATIENCE_MS = 10_000;

function count(): number {
  return readdirSync('/proc/self/task').length;
}

async function openAndDestroy(engines: number): Promise<void> {
  for (let i = 0; i < engines; i++) {
    const { startThreads, started } = watchedStarter();
    const engine = await createCpuEngine({ threads: 3, startThreads });
    await started();
    engine.destroy();
  }
}

await openAndDestroy(FEW);
const few = count();
await openAndDestroy(MANY);
const end = performance.now() + PATIENCE_MS;
while (count() - few > OF_THE_HOST && performance.now() < end) {
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log(count() - few <= OF_THE_HOST ? 'ended' : `${count() - few} threads more`);

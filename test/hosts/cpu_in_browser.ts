/**
 * Page of cpu.test.ts, and the worker that the page starts: leaves digests of the CPU engine, and how many threads it had,
 * in `globalThis.result`.
 */

import { HttpFolder } from '../../src/data/http_folder.ts';
import { threadStarter } from '../../src/host/threads.ts';
import { cpuDigests } from '../engine/cpu_digests.ts';

const model = new HttpFolder('/model');
const hasModel = await model.exists('config.json');

/** With two threads where this page or worker may have any. */
async function digests() {
  const threads = threadStarter() ? 2 : 1;
  return { threads, digests: await cpuDigests(threads, hasModel ? model : undefined) };
}

if (typeof document === 'undefined') {
  postMessage(await digests());
} else {
  const worker = new Worker('page.js', { type: 'module' });
  const inWorker = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });
  Object.assign(globalThis, { result: { onPage: await digests(), inWorker: await inWorker } });
}

/** Page of cpu.test.ts, and the worker that the page starts: leaves digests of the CPU engine in `globalThis.result`. */

import { HttpFolder } from '../../src/data/http_folder.ts';
import { cpuDigests } from '../engine/cpu_digests.ts';

const model = new HttpFolder('/model');
const hasModel = await model.exists('config.json');
const digests = (threads: number) => cpuDigests(threads, hasModel ? model : undefined);

if (typeof document === 'undefined') {
  postMessage(await digests(2));
} else {
  const worker = new Worker('page.js', { type: 'module' });
  const inWorker = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });
  Object.assign(globalThis, { result: { onPage: await digests(1), inWorker: await inWorker } });
}

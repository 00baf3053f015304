/** A page with nothing but a hand on a workbench, as `globalThis.bench`, and what to look at a run with. */
import { sha256 } from '../../../src/data/hash.ts';
import { callback, WorkerClient } from '../../../src/host/page/client.ts';
import type { RunEvent, RunRequest } from '../../../src/host/page/events.ts';
import { importModel } from '../../../src/host/page/import.ts';
import type { Workbench } from '../../../src/host/page/workbench.ts';
import { PageFolder } from '../../../src/host/page_storage.ts';

const client = new WorkerClient<Workbench>(() => new Worker('worker.js', { type: 'module' }));
const events: RunEvent[] = [];

/** Runs, or says why not; paused at the first event of a kind. */
async function align(request: RunRequest, pauseAt?: RunEvent['kind']): Promise<unknown> {
  events.length = 0;
  let pausing = false;
  const hear = (event: RunEvent) => {
    events.push(event);
    if (event.kind !== pauseAt || pausing) return;
    pausing = true;
    void client.call((bench) => bench.pause());
  };
  try {
    return await client.call((bench) => bench.align(request, callback(hear)));
  } catch (error) {
    return { error: String(error) };
  }
}

async function hashes(out: string): Promise<Record<string, string>> {
  const folder = new PageFolder(out);
  const found: Record<string, string> = {};
  for (const file of await folder.files()) found[file] = await sha256(await folder.read(file));
  return found;
}

Object.assign(globalThis, { client, callback, events, align, hashes, importModel, PageFolder });

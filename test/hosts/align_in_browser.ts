/**
 * Page of support/align_page.ts, and the worker that the page starts: a whole run, in the page's storage. The address
 * says which (`PageRun`). Leaves its `PageOutcome` in `globalThis.result`.
 */
import * as truth from '../../models/demo/truth.ts';
import type { WritableFolder } from '../../src/data/folder.ts';
import { sha256 } from '../../src/data/hash.ts';
import { messageOf } from '../../src/errors.ts';
import { PageSources } from '../../src/host/page/sources.ts';
import { PageFolder } from '../../src/host/page_storage.ts';
import { mocan, parseConfig, pecan, Run, silent } from '../../src/index.ts';
import type { PageOutcome, PageRun } from './support/align_page.ts';

/** The folder, and when it has written a file whose path ends with `path`: then it does nothing any more. */
function stopAt(folder: PageFolder, path: string): { folder: WritableFolder; stopped: Promise<PageOutcome> } {
  let stop: (outcome: PageOutcome) => void;
  const stopped = new Promise<PageOutcome>((resolve) => {
    stop = resolve;
  });
  const checked = async (file: string) => {
    if (!file.endsWith(path)) return;
    stop({ stoppedAt: path });
    await new Promise(() => {});
  };
  return {
    stopped,
    folder: new Proxy<WritableFolder>(folder, {
      get(_, name) {
        if (name === 'write' || name === 'append') {
          return async (file: string, content: string) => {
            await folder[name](file, content);
            await checked(file);
          };
        }
        const value: unknown = Reflect.get(folder, name);
        return typeof value === 'function' ? value.bind(folder) : value;
      },
    }),
  };
}

async function align(folder: WritableFolder, { threads, settings }: PageRun): Promise<void> {
  const config = parseConfig(settings, 'settings');
  const run = await Run.open(folder, 'browser');
  run.configure(config, false);
  const functions = Object.fromEntries(
    Object.entries(truth).map(([name, measure]) => [`/models/demo/truth.ts#${name}`, measure]),
  );
  const sources = new PageSources(config.device, { threads, functions });
  const method = config.method === 'pecan' ? pecan : mocan;
  await method({ run, config, sources, progress: silent });
  sources.close();
}

async function main(run: PageRun): Promise<PageOutcome> {
  const storage = new PageFolder(run.out);
  const { folder, stopped } = run.stopAt
    ? stopAt(storage, run.stopAt)
    : { folder: storage, stopped: new Promise<never>(() => {}) };
  const whole = align(folder, run).then(async () => {
    const hashes: Record<string, string> = {};
    for (const file of await storage.files()) hashes[file] = await sha256(await storage.read(file));
    return { hashes };
  });
  return await Promise.race([whole, stopped]).catch((error: unknown) => ({ error: messageOf(error) }));
}

/** The run in a worker of its own, which ends where the run stops, as a page that is closed ends it. */
async function inWorker(run: PageRun): Promise<PageOutcome> {
  const worker = new Worker('page.js', { type: 'module' });
  try {
    return await new Promise<PageOutcome>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(`in the worker: ${message}`));
      worker.postMessage(run);
    });
  } finally {
    worker.terminate();
  }
}

if (typeof document === 'undefined') {
  addEventListener('message', async ({ data }: MessageEvent<PageRun>) => postMessage(await main(data)));
} else if (location.search) {
  const run = JSON.parse(decodeURIComponent(location.search.slice(1))) as PageRun;
  const result = await (run.worker ? inWorker : main)(run).catch((error) => ({ error: messageOf(error) }));
  Object.assign(globalThis, { result });
}

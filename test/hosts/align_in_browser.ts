/**
 * Page of support/align_page.ts, and the worker that the page starts: each makes a whole run on the CPU, in memory. Leaves
 * the sha-256 of their files in `globalThis.result`.
 */

import { subfolder } from '../../src/data/folder.ts';
import { sha256 } from '../../src/data/hash.ts';
import { HttpFolder } from '../../src/data/http_folder.ts';
import { parsePreferences } from '../../src/data/preferences.ts';
import { parsePrompts } from '../../src/data/prompts.ts';
import { messageOf } from '../../src/errors.ts';
import { openEngine } from '../../src/host/device.ts';
import { type Context, mocan, OnnxScorer, parseConfig, Run, silent } from '../../src/index.ts';
import { loadAdapter } from '../../src/model/peft.ts';
import { loadPolicy } from '../../src/model/policy.ts';
import { MemoryFolder } from '../support/memory_folder.ts';

async function main(threads: number): Promise<Record<string, string>> {
  const folder = new MemoryFolder();
  const config = parseConfig(await (await fetch('/settings.json')).json(), 'settings');
  const run = await Run.open(folder, 'browser');
  run.configure(config, false);
  const engine = await openEngine('cpu', threads);
  const sources: Context['sources'] = {
    policy: (path) => ({ hash: async () => path, load: () => loadPolicy(engine, new HttpFolder(path)) }),
    scorer: (path) => ({ hash: async () => path, load: () => OnnxScorer.load(new HttpFolder(path)) }),
    async useAdapter(policy, path) {
      policy.adapter?.free();
      const inRun = subfolder(folder, path.slice(`${folder.name}/`.length));
      policy.adapter = await loadAdapter(engine, policy.config, inRun);
    },
    prompts: async (path) => parsePrompts(await (await fetch(path)).text(), path),
    preferences: async (path, judgement) =>
      parsePreferences(await (await fetch(path)).text(), path, judgement),
    engine: async () => 'cpu',
    device: () => engine.info,
  };
  await mocan({ run, config, sources, progress: silent });
  engine.destroy();
  const hashes: Record<string, string> = {};
  for (const [path, content] of folder.files) hashes[path] = await sha256(content);
  return hashes;
}

if (typeof document === 'undefined') {
  postMessage(await main(2));
} else {
  const worker = new Worker('page.js', { type: 'module' });
  const inWorker = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(`in the worker: ${message}`));
  });
  const result = await Promise.all([main(1), inWorker]).then(
    ([onPage, both]) => ({ onPage, inWorker: both }),
    (error: unknown) => ({ error: messageOf(error) }),
  );
  Object.assign(globalThis, { result });
}

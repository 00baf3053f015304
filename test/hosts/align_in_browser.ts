/** Page of align.test.ts: a whole run on the CPU, in memory; leaves the sha-256 of its files in `globalThis.result`. */

import { subfolder } from '../../src/data/folder.ts';
import { sha256 } from '../../src/data/hash.ts';
import { HttpFolder } from '../../src/data/http_folder.ts';
import { parsePreferences } from '../../src/data/preferences.ts';
import { parsePrompts } from '../../src/data/prompts.ts';
import { openEngine } from '../../src/host/device.ts';
import { type Context, mocan, OnnxScorer, parseConfig, Run, silent } from '../../src/index.ts';
import { loadAdapter } from '../../src/model/peft.ts';
import { loadPolicy } from '../../src/model/policy.ts';
import { MemoryFolder } from '../support/memory_folder.ts';

async function main(): Promise<Record<string, string>> {
  const folder = new MemoryFolder();
  const config = parseConfig(await (await fetch('/settings.json')).json(), 'settings');
  const run = await Run.open(folder, 'browser');
  run.configure(config, false);
  const engine = await openEngine('cpu');
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

Object.assign(globalThis, { result: await main() });

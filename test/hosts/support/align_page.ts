/** A whole run of the alignment in Chromium, as the command makes it on disk. */
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { sha256 } from '../../../src/data/hash.ts';
import { ROOT, SHARED } from '../../support/shared.ts';
import { withPage } from './browser.ts';

/** sha-256 by path in the run folder. */
export type Hashes = Record<string, string>;

export interface PageRuns {
  /** On the page itself, with one thread. */
  readonly onPage: Hashes;
  /** In a worker of the page, with two threads. */
  readonly inWorker: Hashes;
}

/** These name the host and the paths of a run. */
const OWN = ['manifest.json', 'report.html', 'adapter/adapter_config.json'];

/** The files that are the same on every host. */
export function common(files: Hashes): Hashes {
  return Object.fromEntries(Object.entries(files).filter(([file]) => !OWN.includes(file)));
}

export async function hashesOf(out: string): Promise<Hashes> {
  const entries = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const files = entries.map((entry) => join(entry.parentPath, entry.name).slice(out.length + 1));
  const pairs = files.map(async (file) => [file, await sha256(readFileSync(join(out, file)))] as const);
  return Object.fromEntries(await Promise.all(pairs));
}

/**
 * Runs the stories' alignment with `settings` on a page and in its worker, from files in `site`, which holds the prompts
 * as prompts.jsonl.
 */
export async function alignInChromium(site: string, settings: Record<string, unknown>): Promise<PageRuns> {
  writeFileSync(
    join(site, 'settings.json'),
    JSON.stringify({
      policy: '/stories260K',
      reward: '/stories-reward',
      prompts: '/prompts.jsonl',
      constraints: [{ scorer: '/stories-cost', cost: true }],
      device: 'cpu',
      ...settings,
    }),
  );
  await build({
    absWorkingDir: ROOT,
    entryPoints: ['test/hosts/align_in_browser.ts'],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    outfile: join(site, 'page.js'),
    logLevel: 'error',
  });
  const wasm = 'ort-wasm-simd-threaded.wasm';
  copyFileSync(join(ROOT, 'node_modules/onnxruntime-web/dist', wasm), join(site, wasm));
  writeFileSync(join(site, 'index.html'), '<!doctype html><script type="module" src="page.js"></script>');
  const models = ['stories260K', 'stories-reward', 'stories-cost'];
  const mounts = Object.fromEntries(models.map((name) => [`/${name}`, `${SHARED}/models/${name}`]));
  const result = await withPage(
    { '/': site, ...mounts },
    async (page) => {
      await page.waitForFunction('"result" in globalThis', undefined, { timeout: 0 });
      return (await page.evaluate('globalThis.result')) as PageRuns | { error: string };
    },
    true,
  );
  if ('error' in result) throw new Error(`On the page: ${result.error}`);
  return result;
}

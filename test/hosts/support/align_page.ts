/** A whole run of the alignment in Chromium, as the command makes it on disk. */
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { sha256 } from '../../../src/data/hash.ts';
import { ROOT, SHARED } from '../../support/shared.ts';
import { withPage } from './browser.ts';

/** sha-256 by path in the run folder. */
export type Hashes = Record<string, string>;

/** A run that the page makes, in its storage. */
export interface PageRun {
  /** Folder in the page's storage. */
  readonly out: string;
  /** The settings' path on the server. */
  readonly settings: string;
  readonly threads: number;
  /** In a worker of the page in place of the page itself, which cannot have threads. */
  readonly worker: boolean;
  /** Ends the run once it has written a file whose path ends so. */
  readonly stopAt?: string;
}

/** How it ended. */
export type PageOutcome = { hashes: Hashes } | { stoppedAt: string } | { error: string };

/** These name the host and the paths of a run. */
const OWN = ['manifest.json', 'report.html', 'adapter_config.json'];

/** The files that are the same on every host. */
export function common(files: Hashes): Hashes {
  return Object.fromEntries(Object.entries(files).filter(([file]) => !OWN.includes(file.split('/').at(-1)!)));
}

export async function hashesOf(out: string): Promise<Hashes> {
  const entries = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const files = entries.map((entry) => join(entry.parentPath, entry.name).slice(out.length + 1));
  const pairs = files.map(async (file) => [file, await sha256(readFileSync(join(out, file)))] as const);
  return Object.fromEntries(await Promise.all(pairs));
}

/** Makes a run in Chromium, ended as often as `kills` names files, and gone on with after each; the hashes of its files. */
export type AlignInChromium = (
  method: 'mocan' | 'pecan',
  where: 'page' | 'worker',
  kills?: readonly string[],
) => Promise<Hashes>;

/**
 * Opens a page that aligns the stories with `settings`, from files in `site`, which holds the prompts as prompts.jsonl and
 * for PeCAN preferences as preferences.jsonl. Runs on the page have one thread, those in its worker two.
 */
export async function withAlignPage(
  site: string,
  settings: Record<string, unknown>,
  use: (align: AlignInChromium) => Promise<void>,
): Promise<void> {
  const common = { policy: '/stories260K', prompts: '/prompts.jsonl', device: 'cpu', ...settings };
  const methods = {
    mocan: { reward: '/stories-reward', constraints: [{ scorer: '/stories-cost', cost: true }] },
    pecan: { reward: '/preferences.jsonl', constraints: [{ scorer: '/preferences.jsonl', cost: false }] },
  };
  for (const [method, own] of Object.entries(methods)) {
    writeFileSync(join(site, `${method}.json`), JSON.stringify({ ...common, ...own, method }));
  }
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
  let runs = 0;
  await withPage(
    { '/': site, ...mounts },
    (page) =>
      use(async (method, where, kills = []) => {
        const run = {
          out: `run${runs++}`,
          settings: `/${method}.json`,
          threads: where === 'page' ? 1 : 2,
          worker: where === 'worker',
        };
        for (const stopAt of [...kills, undefined]) {
          const query = encodeURIComponent(JSON.stringify({ ...run, stopAt } satisfies PageRun));
          // Leaving a page ends all that it does.
          await page.goto(new URL(`/index.html?${query}`, page.url()).href);
          await page.waitForFunction('"result" in globalThis', undefined, { timeout: 0 });
          const outcome = (await page.evaluate('globalThis.result')) as PageOutcome;
          if ('hashes' in outcome && !stopAt) return outcome.hashes;
          if (!('stoppedAt' in outcome)) {
            const found = 'error' in outcome ? outcome.error : 'the run ended';
            throw new Error(`Chromium, ${where}, ${stopAt ?? 'end'}: ${found}`);
          }
        }
        throw new Error('expected the last run to end');
      }),
    true,
  );
}

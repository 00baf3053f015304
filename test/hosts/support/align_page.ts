/** Whole runs in a browser, as the command makes them on disk. */
import { join } from 'node:path';
import { Command } from 'commander';
import type { RunOptions } from '../../../src/align/config.ts';
import { addRunOptions } from '../../../src/cli/options.ts';
import { ALIGN_OPTIONS } from '../../../src/cli/stages.ts';
import { ROOT, SHARED } from '../../support/shared.ts';
import { type BrowserName, withPage } from './browser.ts';
import { type CommandRun, common, type Hashes } from './command_run.ts';
import { buildSite } from './site.ts';

/** A run that the page makes, in its storage. */
export interface PageRun {
  /** Folder in the page's storage. */
  readonly out: string;
  /** Paths in them are the server's. */
  readonly settings: RunOptions;
  readonly threads: number;
  /** In a worker of the page in place of the page itself, which cannot have threads. */
  readonly worker: boolean;
  /** Ends the run once it has written a file whose path ends so. */
  readonly stopAt?: string;
}

/** How it ended. */
export type PageOutcome = { hashes: Hashes } | { stoppedAt: string } | { error: string };

export interface BrowserRun extends Pick<CommandRun, 'options' | 'device' | 'kills'> {
  /** On the page itself with one thread, or in a worker of it with two. */
  readonly where: 'page' | 'worker';
}

/** Makes a run in the browser, left and gone on with as often as asked; returns the hashes of its files. */
export type AlignInBrowser = (run: BrowserRun) => Promise<Hashes>;

/** Opens a page that makes runs. `site` is a folder for its files, and may hold files that the runs name. */
export async function withAlignPage(
  browser: BrowserName,
  site: string,
  use: (align: AlignInBrowser) => Promise<void>,
): Promise<void> {
  await buildSite(site, { page: 'test/hosts/align_in_browser.ts' }, { onnx: true });
  const mounts = { '/': site, '/models': join(ROOT, 'models'), '/shared': SHARED };
  let runs = 0;
  await withPage(
    mounts,
    (page) =>
      use(async ({ options, device, where, kills = [] }) => {
        const run = {
          out: `run${runs++}`,
          settings: settingsOf([...options, '--device', device], mounts),
          threads: where === 'page' ? 1 : 2,
          worker: where === 'worker',
        };
        for (const stopAt of [...kills, undefined]) {
          const query = encodeURIComponent(JSON.stringify({ ...run, stopAt } satisfies PageRun));
          // Leaving a page ends all that it does.
          await page.goto(new URL(`/index.html?${query}`, page.url()).href);
          await page.waitForFunction('"result" in globalThis', undefined, { timeout: 0 });
          const outcome = (await page.evaluate('globalThis.result')) as PageOutcome;
          if ('hashes' in outcome && !stopAt) return common(outcome.hashes);
          if (!('stoppedAt' in outcome)) {
            const found = 'error' in outcome ? outcome.error : 'the run ended';
            throw new Error(`${browser}, ${where}, ${stopAt ?? 'end'}: ${found}`);
          }
        }
        throw new Error('expected the last run to end');
      }),
    { isolated: true, browser },
  );
}

/** What the command makes of its options, with paths on the server in place of those on disk. */
function settingsOf(options: readonly string[], mounts: Record<string, string>): RunOptions {
  const command = new Command().exitOverride();
  const settings = addRunOptions(command, ALIGN_OPTIONS);
  command.parse(options, { from: 'user' });
  const served = Object.entries(mounts).map(([path, folder]) => [path.replace(/\/$/, ''), folder] as const);
  const urls = options.map((option) => {
    const mount = served.find(([, folder]) => option.startsWith(`${folder}/`));
    return [option, mount ? `${mount[0]}${option.slice(mount[1].length)}` : option] as const;
  });
  const byPath = new Map(urls);
  return JSON.parse(JSON.stringify(settings), (_, value: unknown) =>
    typeof value === 'string' ? (byPath.get(value) ?? value) : value,
  ) as RunOptions;
}

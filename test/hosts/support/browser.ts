import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { env } from 'node:process';
import { type Browser, chromium, firefox, type Page } from 'playwright-core';

export type BrowserName = 'chromium' | 'firefox';

/** Ubuntu's /usr/bin/firefox is left out: it starts a snap, which sees no profile in /tmp. */
const CANDIDATES: Record<BrowserName, readonly (string | undefined)[]> = {
  chromium: [env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'],
  firefox: [
    ...[env.FIREFOX, '/usr/bin/firefox-esr', '/usr/lib/firefox/firefox', '/usr/lib64/firefox/firefox'],
    '/Applications/Firefox.app/Contents/MacOS/firefox',
  ],
};

/** A browser's program, where there is one. */
function programOf(name: BrowserName): string | undefined {
  const program = CANDIDATES[name].find((path) => path !== undefined && existsSync(path));
  if (!program) {
    const title = TITLES[name];
    const variable = name.toUpperCase();
    console.warn(
      `Leaving out tests in ${title}: there is none. Install it, or point the variable ${variable} at it.`,
    );
  }
  return program;
}

const TITLES: Record<BrowserName, string> = { chromium: 'Chromium', firefox: 'Firefox' };

export const chromiumPath = programOf('chromium');
export const firefoxPath = programOf('firefox');

/**
 * How often a test that starts threads in Firefox is tried again. Under remote control, Firefox 153 at times never comes
 * back from `new Worker` in a worker: here 1 of 70, and none of 5500 when it was not controlled.
 */
export const FIREFOX_RETRIES = 2;

/** Both browsers, for tests of each. */
export const BROWSERS = [
  { title: TITLES.chromium, browser: 'chromium', path: chromiumPath, retry: 0 },
  { title: TITLES.firefox, browser: 'firefox', path: firefoxPath, retry: FIREFOX_RETRIES },
] as const;

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.css': 'text/css',
};

const ISOLATION = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

export interface PageOptions {
  /** Whether the page may share memory with its workers. */
  readonly isolated?: boolean;
  /** Chromium if left out. */
  readonly browser?: BrowserName;
  /** Further arguments of Chromium. */
  readonly args?: readonly string[];
  /** Where Firefox puts downloads, of which Playwright tells nothing. */
  readonly downloads?: string;
}

/**
 * Serves folders on localhost and gives `use` a browser's page there; both are gone afterwards.
 * @param mounts folder on disk by its path on the server; "/" serves what no other does.
 */
export async function withPage<T>(
  mounts: Record<string, string>,
  use: (page: Page) => Promise<T>,
  { isolated = false, browser: name = 'chromium', args, downloads }: PageOptions = {},
): Promise<T> {
  const server = createServer((request, response) => {
    const file = fileOf(new URL(request.url ?? '/', 'http://localhost').pathname, mounts);
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[extname(file)] ?? 'application/octet-stream';
    response.writeHead(200, { 'content-type': type, ...(isolated ? ISOLATION : {}) });
    response.end(request.method === 'HEAD' ? undefined : readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const browser = name === 'chromium' ? await launchChromium(args) : await launchFirefox(downloads);
  try {
    const page = await browser.newPage();
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/index.html`);
    return await use(page);
  } finally {
    await browser.close();
    server.close();
  }
}

function launchChromium(args: readonly string[] = ['--enable-unsafe-webgpu']): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath,
    args: [
      ...args,
      '--no-sandbox',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** The id of the process that does a Chromium's work on the GPU. */
export async function gpuProcess(page: Page): Promise<number> {
  const session = await page.context().browser()!.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  return processInfo.find(({ type }) => type === 'GPU')!.id;
}

/**
 * Firefox as it is published, by WebDriver BiDi; Playwright's own build is another program. Playwright 1.65 begins with a
 * command that Firefox 153 does not know (emulation.setMediaFeaturesOverride), so 1.64 is pinned.
 */
function launchFirefox(downloadsPath?: string): Promise<Browser> {
  return firefox.launch({ channel: 'moz-firefox', executablePath: firefoxPath, downloadsPath });
}

function fileOf(path: string, mounts: Record<string, string>): string | undefined {
  const mount = Object.keys(mounts).find((prefix) => prefix !== '/' && path.startsWith(`${prefix}/`)) ?? '/';
  const file = join(mounts[mount]!, path.slice(mount === '/' ? 0 : mount.length));
  return existsSync(file) && statSync(file).isFile() ? file : undefined;
}

/** The built extension, and a real Chromium with it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { expect } from 'vitest';
import { chromiumPath } from '../../hosts/support/browser.ts';
import { ROOT } from '../../support/shared.ts';

export interface BuiltExtension {
  /** To load unpacked. */
  readonly path: string;
  readonly manifest: Readonly<Record<string, unknown>>;
  remove(): void;
}

/** Builds the extension, as `npm run build:extension` does, into a folder of its own. */
export function buildExtension(browser: 'chrome' | 'firefox' = 'chrome'): BuiltExtension {
  const folder = mkdtempSync(join(tmpdir(), 'dualign-extension-'));
  const wxt = join(ROOT, 'node_modules/wxt/bin/wxt.mjs');
  execFileSync(process.execPath, [wxt, 'build', 'extension', '-b', browser], {
    cwd: ROOT,
    stdio: 'pipe',
    env: { ...process.env, EXTENSION_OUT: folder },
  });
  const path = join(folder, browser);
  const manifest = JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8'));
  return { path, manifest, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A profile with the extension, which outlives the browser. */
export interface Profile {
  readonly folder: string;
  readonly extension: BuiltExtension;
}

export interface OpenBrowser {
  readonly context: BrowserContext;
  /** The extension's origin. */
  readonly origin: string;
  /** Its panel, as a page. */
  panel(): Promise<Page>;
}

/** Chromium with the extension. */
export async function openBrowser({ folder, extension }: Profile, ...args: string[]): Promise<OpenBrowser> {
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: chromiumPath,
    headless: true,
    ignoreDefaultArgs: ['--disable-extensions'],
    args: [
      `--disable-extensions-except=${extension.path}`,
      `--load-extension=${extension.path}`,
      '--no-sandbox',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...args,
    ],
  });
  context.setDefaultTimeout(60_000);
  const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'));
  // The origin of such an address is "null" to Node.
  const [origin] = worker.url().match(/^chrome-extension:\/\/\w+/)!;
  return {
    context,
    origin,
    async panel() {
      const page = await context.newPage();
      await page.setViewportSize({ width: 360, height: 760 });
      await page.goto(`${origin}/sidepanel.html`);
      return page;
    },
  };
}

/** Shows a part of the panel. */
export async function show(page: Page, part: 'Chat' | 'Judgements' | 'Align' | 'Data'): Promise<void> {
  await page.getByRole('navigation').getByRole('button', { name: part }).click();
}

/** Judgements of the demo's by goal, the first of each, as a file to import. */
export function judgementsFile(goal: 'helpful' | 'safe', count: number) {
  const rows = readFileSync(join(ROOT, `models/demo/${goal}.jsonl`), 'utf8')
    .split('\n')
    .slice(0, count);
  return { name: `${goal}.jsonl`, mimeType: 'application/jsonl', buffer: Buffer.from(rows.join('\n')) };
}

export async function importJudgements(
  page: Page,
  goals: 'More helpful' | 'Safer' | 'Both',
  file: { name: string; mimeType: string; buffer: Buffer },
): Promise<void> {
  await show(page, 'Judgements');
  await page.getByLabel(goals, { exact: true }).check();
  await page.getByLabel('File').setInputFiles(file);
  await page.getByRole('button', { name: 'Import' }).click();
}

/** Waits until the panel tells this at its top: what it told before stands there until then. */
export async function expectNotice(page: Page, expected: string | RegExp): Promise<void> {
  const told = async () => (await page.locator('.notice p').allTextContents()).join().trim();
  const saying = expect.poll(told, { timeout: 60_000 });
  await (typeof expected === 'string' ? saying.toBe(expected) : saying.toMatch(expected));
}

/** The files of a zip that a button has the browser save. */
export async function downloadOf(page: Page, button: string): Promise<Record<string, Uint8Array>> {
  const started = page.waitForEvent('download');
  await page.getByRole('button', { name: button }).click();
  return unzipSync(readFileSync(await (await started).path()));
}

/** Addresses of all documents and workers of the browser. */
export async function targetsOf(context: BrowserContext): Promise<string[]> {
  const session = await context.newCDPSession(context.pages()[0]);
  const { targetInfos } = await session.send('Target.getTargets');
  await session.detach();
  return targetInfos.map(({ url }) => url.replace(/^chrome-extension:\/\/\w+/, ''));
}

/** Ends the extension's service worker, as the browser does when it has nothing to do. */
export async function stopServiceWorker(context: BrowserContext, page: Page): Promise<void> {
  const session = await context.newCDPSession(page);
  await session.send('ServiceWorker.enable');
  await session.send('ServiceWorker.stopAllWorkers');
  await session.detach();
  for (let tries = 0; (await targetsOf(context)).includes('/background.js'); tries++) {
    if (tries === 600) throw new Error('the service worker goes on');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Names of all that the extension keeps. */
export async function storageOf(page: Page) {
  return await page.evaluate(async () => {
    const names: string[] = [];
    const root = await navigator.storage.getDirectory();
    for await (const name of (root as unknown as { keys(): AsyncIterable<string> }).keys()) names.push(name);
    return { names, databases: await indexedDB.databases(), caches: await caches.keys() };
  });
}

/** The built playground in a real browser. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { type BrowserName, chromiumPath, withPage } from '../../hosts/support/browser.ts';
import { ROOT } from '../../support/shared.ts';

export const SITE = join(ROOT, 'dist/web');
export const isBuilt = existsSync(join(SITE, 'index.html'));
if (!isBuilt) console.warn('Leaving out tests of the playground: dist/web is not built; run node build.mjs.');

/** Whether there is what its tests in Chromium need. */
export const canPlay = isBuilt && chromiumPath !== undefined;

export interface PlaygroundOptions {
  /** Whether the server lets workers share memory; the service worker does otherwise. */
  readonly isolated?: boolean;
  /** Chromium if left out. */
  readonly browser?: BrowserName;
  /** Of Chromium. */
  readonly args?: readonly string[];
  /** Of Firefox. */
  readonly downloads?: string;
  /** Further folders by their path on the server. */
  readonly mounts?: Readonly<Record<string, string>>;
}

/** Gives `use` the playground at `hash`; fails on an error that nobody caught. */
export async function withPlayground(
  hash: string,
  use: (page: Page) => Promise<void>,
  { isolated = true, browser, args, downloads, mounts = {} }: PlaygroundOptions = {},
): Promise<void> {
  await withPage(
    { '/': SITE, ...mounts },
    async (page) => {
      page.setDefaultTimeout(60_000);
      const problems: string[] = [];
      page.on('pageerror', (error) => problems.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error' && message.text().includes('Content Security Policy'))
          problems.push(message.text());
      });
      await page.goto(new URL(`/index.html?${hash}`, page.url()).href);
      await use(page);
      expect(problems).toEqual([]);
    },
    { isolated, browser, args, downloads },
  );
}

interface Finding {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string }[];
}

/** What axe finds wrong with the page as it is shown, seriously or critically. */
export async function seriousFindings(page: Page): Promise<string[]> {
  await page.evaluate(readFileSync(join(ROOT, 'node_modules/axe-core/axe.min.js'), 'utf8'));
  const violations = (await page.evaluate('axe.run().then(({ violations }) => violations)')) as Finding[];
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
}

/** Lets the page draw what it has just been told. */
export async function drawn(page: Page): Promise<void> {
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
}

/** Waits until an expression holds on the page, whose policy forbids Playwright's own way of waiting. */
export async function until(page: Page, expression: string, milliseconds = 120_000): Promise<void> {
  const end = Date.now() + milliseconds;
  while (!(await page.evaluate(expression))) {
    if (Date.now() > end) {
      const text = ((await page.textContent('#content')) ?? '').replace(/\s+/g, ' ');
      throw new Error(`waited in vain for ${expression} on: ${text.slice(0, 1500)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

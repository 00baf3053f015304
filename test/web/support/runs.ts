/** Runs of the playground: how a test sets them up and looks at what they made. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { ROOT } from '../../support/shared.ts';
import { until } from './playground.ts';

export const DEMO = join(ROOT, 'models/demo');

/** Writes the first of the demo's prompts. */
export function writePrompts(path: string, count: number): void {
  const lines = readFileSync(join(DEMO, 'prompts.jsonl'), 'utf8').split('\n').slice(0, count);
  writeFileSync(path, lines.join('\n'));
}

export async function choose(
  page: Page,
  device: 'cpu' | 'webgpu',
  settings: Record<string, number>,
): Promise<void> {
  await page.click('form > details summary');
  for (const [id, value] of Object.entries(settings)) await page.fill(`#${id}`, String(value));
  await page.selectOption('#device', device);
  // Of these few prompts' answers little more is within reach.
  await page.fill('#margin', '0.05');
}

/** A model and prompts of the user's own, which are the demo's; its scorers are. */
export async function bring(page: Page, prompts: string): Promise<void> {
  await page.selectOption('#policy', 'folder');
  await page.setInputFiles('#policy-folder', join(DEMO, 'policy'));
  await until(page, `document.querySelector('#policy').value === 'models/policy'`);
  await page.setInputFiles('#file-prompts', prompts);
  await until(page, `document.body.textContent.includes('now: prompts.jsonl')`);
}

/** sha-256 of a file in the page's storage. */
export const hashIn = (page: Page, path: string) =>
  page.evaluate(`(async () => {
    let place = await navigator.storage.getDirectory();
    const names = ${JSON.stringify(path)}.split('/');
    for (const name of names.slice(0, -1)) place = await place.getDirectoryHandle(name);
    const bytes = await (await (await place.getFileHandle(names.at(-1))).getFile()).arrayBuffer();
    const digest = await crypto.subtle.digest('SHA-256', bytes);
    return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  })()`);

/** Whether the outcome of a run is shown. */
export const isDone = `document.querySelector('#came') !== null`;

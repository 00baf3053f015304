import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSafetensors } from '../../src/data/safetensors.ts';
import { chromiumPath } from '../hosts/support/browser.ts';
import { clickOnceThere } from '../support/click.ts';
import { accessibilityFindings } from './support/axe.ts';
import {
  type BuiltExtension,
  buildExtension,
  downloadOf,
  expectNotice,
  importJudgements,
  judgementsFile,
  type OpenBrowser,
  openBrowser,
  show,
  stopServiceWorker,
  storageOf,
  targetsOf,
} from './support/extension.ts';

const STOP = '.work .row button:only-child';

/** A run that takes seconds. */
const SMALL = {
  'Questions, at most': 8,
  'Answers to each': 3,
  'Longest answer, in tokens': 24,
  'Passes over the data': 1,
};

describe.skipIf(!chromiumPath)('aligning in the extension', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dualign-profile-'));
  let extension: BuiltExtension;
  let browser: OpenBrowser;
  let page: Page;

  beforeAll(async () => {
    extension = buildExtension();
    browser = await openBrowser({ folder, extension });
    page = await browser.panel();
    await show(page, 'Data');
    for (const [label, value] of Object.entries(SMALL)) {
      await page.getByLabel(label).fill(String(value));
      await page.getByLabel(label).press('Tab');
    }
    await importJudgements(page, 'More helpful', judgementsFile('helpful', 25));
    await importJudgements(page, 'Safer', judgementsFile('safe', 25));
    await page.locator('.notice p', { hasText: 'by safety' }).waitFor();
  });
  afterAll(async () => {
    await browser?.context.close();
    extension?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Opens the panel anew. */
  async function reopen(): Promise<void> {
    await page.close();
    page = await browser.panel();
    await show(page, 'Align');
  }

  const stage = () => page.locator('.work strong').first();
  const balance = () => page.getByRole('slider');

  it('looks at the machine before', async () => {
    await show(page, 'Align');
    await page.getByRole('button', { name: 'Check this machine' }).click();
    const checks = page.locator('.checks li');
    await checks.nth(2).waitFor();
    const texts = (await checks.allTextContents()).map((text) => text.replace(/\s+/g, ' ').trim());
    expect(texts[0]).toMatch(/Processor\. .*the processor does the work, on (one core|\d cores)/);
    expect(texts[1]).toMatch(/Memory\. Learning takes up to \d+ MB; .* can be had/);
    expect(texts[2]).toMatch(/Storage\. .* free, .* in use\./);
  });

  it('goes on when the service worker is ended, the panel closed and the browser started again', async () => {
    await page.getByRole('button', { name: 'Learn', exact: true }).click();
    await page.getByText('Learning what you find helpful').waitFor();
    await stopServiceWorker(browser.context, page);
    await reopen();
    // Past its first checkpoint, the browser ends with all that is in it.
    await page.getByText('Learning what you find safe').waitFor();
    await page.getByText(/^([6-9]|\d\d) of \d+ steps/).waitFor();
    await browser.context.close();

    browser = await openBrowser({ folder, extension });
    // Nobody has opened the panel yet.
    await expect.poll(() => targetsOf(browser.context)).toContain('/offscreen.html');
    page = await browser.panel();
    await show(page, 'Align');
    await balance().waitFor({ timeout: 120_000 });
    const found = await page.locator('#learn ~ .checks li').allTextContents();
    expect(found.length).toBe(3);
    expect(found[0]).toMatch(/Help: agrees with you on \d of 5 judgements it had not seen/);
    expect(found[2]).toMatch(/Learned from 25 and 25 judgements/);
  });

  it('stops and goes on, aligns to the balance chosen, and answers as either', async () => {
    const slider = balance();
    await slider.focus();
    const before = await slider.inputValue();
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => slider.inputValue()).toBe(String(Number(before) + 1));
    await page.getByText(/The price of safety here is|do not show what safety costs/).waitFor();
    expect(await accessibilityFindings(page)).toEqual([]);

    const stopped = clickOnceThere(page, STOP);
    await page.getByRole('main').getByRole('button', { name: 'Align', exact: true }).click();
    await stopped;
    await page.getByText('— stopped').waitFor();
    await reopen();
    await page.getByRole('button', { name: 'Go on' }).click();
    await stopServiceWorker(browser.context, page);
    await page.getByRole('button', { name: 'Chat with it' }).waitFor({ timeout: 120_000 });
    expect(await page.locator('.result').textContent()).toMatch(
      /(Safer|Less safe|About as safe).*(More|Less|About as) helpful.*The balance promised/s,
    );

    expect(await accessibilityFindings(page)).toEqual([]);
    const files = await downloadOf(page, 'Export the adapter');
    expect(Object.keys(files).sort()).toEqual([
      'adapter/adapter_config.json',
      'adapter/adapter_model.safetensors',
      'report.html',
    ]);
    const { tensors } = parseSafetensors(files['adapter/adapter_model.safetensors'], 'adapter');
    const sizes = [...tensors.values()].map((tensor) => Math.hypot(...tensor.f32()));
    expect(sizes.length).toBeGreaterThan(0);
    expect(Math.min(...sizes)).toBeGreaterThan(0);

    await page.getByRole('button', { name: 'Chat with it' }).click();
    const question = page.getByLabel('Your question');
    for (const by of ['Aligned', 'Original']) {
      await page.getByLabel(by, { exact: true }).check();
      await question.fill(`How do I clean the oven as the ${by}?`);
      await question.press('Enter');
      const turn = page.getByRole('article', { name: `as the ${by}?` });
      await turn.getByRole('button', { name: 'Another answer' }).waitFor();
      expect(await turn.locator('.tag').allInnerTexts()).toEqual(by === 'Aligned' ? ['aligned'] : []);
    }
  });

  it('gives up work on request, and keeps what was there before', async () => {
    await show(page, 'Align');
    // Another balance, so that there is work to do.
    await balance().press('ArrowLeft');
    await page.getByText(/The price of safety here is|do not show what safety costs/).waitFor();
    const stopped = clickOnceThere(page, STOP);
    await page.getByRole('main').getByRole('button', { name: 'Align', exact: true }).click();
    await stopped;
    await page.getByRole('button', { name: 'Give up' }).click();
    await page.getByRole('button', { name: 'Yes, for good' }).click();
    await page.getByRole('main').getByRole('button', { name: 'Align', exact: true }).waitFor();
    expect(await page.getByRole('button', { name: 'Chat with it' }).count()).toBe(1);
  });

  it('deletes everything in the middle of work', async () => {
    await balance().press('ArrowRight');
    await page.getByText(/The price of safety here is|do not show what safety costs/).waitFor();
    await page.getByRole('main').getByRole('button', { name: 'Align', exact: true }).click();
    await stage().waitFor();
    await show(page, 'Data');
    await page.getByRole('button', { name: 'Delete everything' }).click();
    await page.getByRole('button', { name: 'Yes, for good' }).click();
    await expectNotice(page, 'Everything is deleted.');
    await show(page, 'Align');
    await page.getByText('From 0 judgements by what helps').waitFor();
    expect(await storageOf(page)).toEqual({ names: [], databases: [], caches: [] });
  });
});

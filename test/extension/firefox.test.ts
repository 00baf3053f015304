/** The extension in Firefox, as a user goes through it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseSafetensors } from '../../src/data/safetensors.ts';
import { firefoxPath } from '../hosts/support/browser.ts';
import {
  type BuiltExtension,
  buildExtension,
  expectNotice,
  importJudgements,
  judgementsFile,
  type OpenBrowser,
  show,
  storageOf,
} from './support/extension.ts';
import { downloadsOf, openFirefox } from './support/firefox.ts';

/** A run that takes seconds. */
const SMALL = {
  'Questions, at most': 8,
  'Answers to each': 3,
  'Longest answer, in tokens': 24,
  'Passes over the data': 1,
};

describe.skipIf(!firefoxPath)('the extension in Firefox (skipped where it is not installed)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dualign-firefox-'));
  let extension: BuiltExtension;
  let browser: OpenBrowser;
  let page: Page;

  beforeAll(async () => {
    extension = buildExtension('firefox');
    browser = await openFirefox({ folder, extension });
    page = await browser.panel();
  });
  afterAll(async () => {
    await browser?.context.close();
    extension?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it('asks for storage alone, and runs no code but its own', () => {
    const { permissions, optional_permissions, content_security_policy } = extension.manifest;
    expect(permissions).toEqual(['unlimitedStorage']);
    expect(optional_permissions).toEqual([
      'https://huggingface.co/*',
      'https://*.huggingface.co/*',
      'https://*.hf.co/*',
    ]);
    expect(content_security_policy).toContain("script-src 'self' 'wasm-unsafe-eval';");
  });

  it('answers twice, and takes two judgements', async () => {
    await page.getByRole('button', { name: 'Sample question, two answers' }).click();
    const turn = page.getByRole('article');
    await turn
      .getByRole('group', { name: 'Which is more helpful?' })
      .getByLabel('A', { exact: true })
      .check();
    await turn.getByRole('group', { name: 'Which is safer?' }).getByLabel('B', { exact: true }).check();
    for (const answer of await turn.locator('.answer').allTextContents()) expect(answer).toMatch(/\w+ \w+/);
    await show(page, 'Judgements');
    await expect.poll(() => page.locator('.counts dd').allTextContents()).toEqual(['1', '1', '1']);
  });

  it('goes on when the panel is closed and when Firefox is started again', async () => {
    await show(page, 'Data');
    for (const [label, value] of Object.entries(SMALL)) {
      await page.getByLabel(label).focus();
      await page.keyboard.press('ControlOrMeta+A');
      await page.keyboard.type(String(value));
      await page.keyboard.press('Tab');
    }
    await importJudgements(page, 'More helpful', judgementsFile('helpful', 25));
    await importJudgements(page, 'Safer', judgementsFile('safe', 25));
    await page.getByText(/^Added 25 by safety/).waitFor();
    await show(page, 'Align');
    await page.getByRole('button', { name: 'Learn', exact: true }).click();
    await page.getByText('Learning what you find helpful').waitFor();
    page = await browser.panel();
    await show(page, 'Align');
    await page.getByText('Learning what you find safe').waitFor();
    await page.getByText(/^([6-9]|\d\d) of \d+ steps/).waitFor();
    await browser.context.close();

    browser = await openFirefox({ folder, extension });
    page = await browser.panel();
    await show(page, 'Align');
    await page.getByRole('slider').waitFor({ timeout: 60_000 });
    expect(await page.locator('#learn ~ .checks li').allTextContents()).toContainEqual(
      expect.stringMatching(/Learned from 26 and 26 judgements/),
    );
  });

  it('aligns to the balance chosen, answers as either, and gives the adapter', async () => {
    await page.getByRole('main').getByRole('button', { name: 'Align', exact: true }).click();
    await page.getByRole('button', { name: 'Chat with it' }).waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Export the adapter' }).click();
    const zip = join(downloadsOf({ folder, extension }), 'dualign-adapter.zip');
    const files = await vi.waitFor(() => unzipSync(readFileSync(zip)), { timeout: 30_000 });
    const { tensors } = parseSafetensors(files['adapter/adapter_model.safetensors'], 'adapter');
    const sizes = [...tensors.values()].map((tensor) => Math.hypot(...tensor.f32()));
    expect(Math.min(...sizes)).toBeGreaterThan(0);

    await page.getByRole('button', { name: 'Chat with it' }).click();
    for (const by of ['Aligned', 'Original']) {
      await page.getByLabel(by, { exact: true }).check();
      await page.getByLabel('Your question').fill(`How do I clean the oven as the ${by}?`);
      await page.keyboard.press('Enter');
      const turn = page.getByRole('article', { name: `as the ${by}?` });
      await turn.getByRole('button', { name: 'Another answer' }).waitFor();
      expect(await turn.locator('.tag').allInnerTexts()).toEqual(by === 'Aligned' ? ['aligned'] : []);
    }
  });

  it('deletes everything', async () => {
    await show(page, 'Data');
    await page.getByRole('button', { name: 'Delete everything' }).click();
    await page.getByRole('button', { name: 'Yes, for good' }).click();
    await expectNotice(page, 'Everything is deleted.');
    expect(await storageOf(page)).toEqual({ names: [], databases: [], caches: [] });
  });
});

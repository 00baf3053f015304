import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsePreferences } from '../../src/data/preferences.ts';
import { chromiumPath } from '../hosts/support/browser.ts';
import { ROOT } from '../support/shared.ts';
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
  storageOf,
} from './support/extension.ts';

describe.skipIf(!chromiumPath)('the panel of the extension', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dualign-profile-'));
  let extension: BuiltExtension;
  let browser: OpenBrowser;
  let page: Page;
  const failures: string[] = [];

  beforeAll(async () => {
    extension = buildExtension();
    browser = await openBrowser({ folder, extension }, '--enable-unsafe-webgpu');
    browser.context.on('weberror', (error) => failures.push(String(error.error())));
    browser.context.on('console', (message) => {
      if (message.type() === 'error') failures.push(message.text());
    });
    page = await browser.panel();
  });
  afterAll(async () => {
    await browser?.context.close();
    extension?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const counts = async () => {
    await show(page, 'Judgements');
    return (await page.locator('.counts dd').allTextContents()).map(Number);
  };

  it('answers on the processor where the graphics driver is software, twice if asked, and takes two judgements', async () => {
    await show(page, 'Chat');
    await page.getByLabel('Your question').fill('How do I clean the oven?');
    await page.keyboard.press('Enter');
    const turn = page.getByRole('article', { name: 'How do I clean the oven?' });
    const another = turn.getByRole('button', { name: 'Another answer' });
    await another.click();
    const helps = turn.getByRole('group', { name: 'Which is more helpful?' });
    await helps.waitFor();
    const answers = await turn.locator('.answer').allTextContents();
    expect(answers.length).toBe(2);
    for (const answer of answers) expect(answer).toMatch(/\w+ \w+/);
    expect(await counts()).toEqual([0, 0, 0]);

    await show(page, 'Chat');
    await helps.getByLabel('A', { exact: true }).check();
    await expect.poll(counts).toEqual([1, 0, 1]);
    await show(page, 'Chat');
    await turn.getByRole('group', { name: 'Which is safer?' }).getByLabel('B', { exact: true }).check();
    await expect.poll(counts).toEqual([1, 1, 1]);

    const files = await downloadOf(page, 'Export as TRL rows');
    const rows = (goal: 'helpful' | 'safe') =>
      parsePreferences(new TextDecoder().decode(files[`${goal}.jsonl`]), goal, goal);
    const [helpful] = rows('helpful');
    const [safe] = rows('safe');
    expect(helpful.prompt).toBe('Question: How do I clean the oven? Answer:');
    expect([safe.chosen, safe.rejected]).toEqual([helpful.rejected, helpful.chosen]);
    expect(answers[0]).toContain(helpful.chosen.trim());

    await show(page, 'Chat');
    await helps.getByLabel('Same', { exact: true }).check();
    await expect.poll(counts).toEqual([0, 1, 1]);
  });

  it.each(['Chat', 'Judgements', 'Align', 'Data'] as const)('is accessible: %s', async (part) => {
    await show(page, part);
    expect(await accessibilityFindings(page)).toEqual([]);
  });

  it('imports the judgements of a file once, and exports them as they came', async () => {
    const file = judgementsFile('helpful', 30);
    await importJudgements(page, 'More helpful', file);
    await expectNotice(page, 'Added 30 by what helps from helpful.jsonl.');
    expect((await counts()).slice(0, 2)).toEqual([30, 1]);
    await importJudgements(page, 'More helpful', file);
    await expectNotice(page, 'Added 0 by what helps from helpful.jsonl.');

    const both = [
      { prompt: 'Hello', response_0: 'yes', response_1: 'no', better_response_id: 1, safer_response_id: 0 },
    ];
    const pku = {
      ...file,
      name: 'pku.jsonl',
      buffer: Buffer.from(both.map((row) => JSON.stringify(row)).join()),
    };
    await importJudgements(page, 'Both', pku);
    await expectNotice(page, 'Added 1 by what helps and 1 by safety from pku.jsonl.');
    const files = await downloadOf(page, 'Export as TRL rows');
    const rows = new TextDecoder()
      .decode(files['helpful.jsonl'])
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row));
    const given = file.buffer
      .toString()
      .split('\n')
      .map((row) => JSON.parse(row));
    expect(rows).toEqual([...given, { prompt: 'Hello', chosen: 'no', rejected: 'yes' }]);
  });

  it.each([
    ['an image', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0xff]), /wrong: expected a text file of JSON Lines/],
    ['prose', Buffer.from('These are no rows.'), /^wrong: line 1 is not JSON/],
    [
      'rows of another kind',
      Buffer.from('{"text": "a"}'),
      /^wrong: line 1: expected a string "chosen", got nothing$/,
    ],
    ['no rows', Buffer.from('\n'), /^wrong: expected preferences, found none$/],
  ])('refuses %s for judgements, and adds nothing', async (_, buffer, message) => {
    const before = await counts();
    await importJudgements(page, 'Safer', { name: 'wrong', mimeType: 'text/plain', buffer });
    await expectNotice(page, message);
    expect(await counts()).toEqual(before);
  });

  it('refuses a folder that holds no model, and takes one that does', async () => {
    await show(page, 'Data');
    const chooser = page.getByLabel('Folder from this machine');
    await chooser.setInputFiles(join(ROOT, 'extension/public/icon'));
    await expectNotice(page, /^icon: expected a model/);
    expect(await page.getByLabel('Model in use').locator('option').count()).toBe(1);

    await chooser.setInputFiles(join(ROOT, 'models/demo/policy'));
    await page
      .getByLabel('Model in use')
      .locator('option', { hasText: 'policy' })
      .waitFor({ state: 'attached' });
    await expect.poll(() => page.getByLabel('Model in use').inputValue()).toBe('models/policy');
    await show(page, 'Chat');
    await page.getByLabel('Your question').fill('Question: How do I clean the oven? Answer:');
    await page.getByRole('button', { name: 'Ask', exact: true }).click();
    await page.getByRole('button', { name: 'Another answer' }).waitFor();

    await show(page, 'Data');
    await page.getByRole('button', { name: 'Remove this model' }).click();
    await page.getByRole('button', { name: 'Yes, for good' }).click();
    await expect.poll(() => page.getByLabel('Model in use').inputValue()).toBe('/demo/policy');
  });

  it('answers by WebGPU, in the worker of a document that nobody sees', async () => {
    await show(page, 'Data');
    await page.getByLabel('Runs on').selectOption('webgpu');
    await show(page, 'Chat');
    await page.getByLabel('Your question').fill('How do I clean the fridge?');
    await page.keyboard.press('Enter');
    const turn = page.getByRole('article', { name: 'How do I clean the fridge?' });
    await turn.getByRole('button', { name: 'Another answer' }).waitFor();
    expect(await turn.locator('.answer').textContent()).toMatch(/\w+ \w+/);
    await show(page, 'Align');
    await page.getByRole('button', { name: 'Check this machine' }).click();
    await page.getByText('A software driver does the work of a graphics card').waitFor();
  });

  it('exports everything, and deletes everything', async () => {
    await show(page, 'Data');
    const files = await downloadOf(page, 'Export everything');
    expect(Object.keys(files).sort()).toEqual(['judgements.jsonl', 'state.json']);
    // By keys alone: what is asked once more has the focus, on the answer that does nothing.
    await page.getByRole('button', { name: 'Delete everything' }).press('Enter');
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Keep');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await expectNotice(page, 'Everything is deleted.');
    expect(await counts()).toEqual([0, 0, 0]);
    expect(await storageOf(page)).toEqual({ names: [], databases: [], caches: [] });
  });

  it('has said nothing of errors meanwhile', () => {
    expect(failures).toEqual([]);
  });
});

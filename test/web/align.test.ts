/** The playground's page of runs: whole ones, closed in the middle, paused, cancelled, without a GPU, with a full disk. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import type { Page } from 'playwright-core';
import { afterAll, describe, expect, test } from 'vitest';
import { sha256 } from '../../src/data/hash.ts';
import { startHub } from '../host/hub_server.ts';
import { tinyFolder } from '../model/tiny.ts';
import { clickOnceThere } from '../support/click.ts';
import { ROOT } from '../support/shared.ts';
import { canPlay, drawn, seriousFindings, until, withPlayground } from './support/playground.ts';
import { bring, choose, DEMO, hashIn, isDone, writePrompts } from './support/runs.ts';

const scratch = mkdtempSync(join(tmpdir(), 'dualign-playground-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const prompts = join(scratch, 'prompts.jsonl');
writePrompts(prompts, 12);

/** Settings that a run is over with in seconds, but not before it can be stopped. */
const SMALL = {
  responses: 6,
  max_new_tokens: 16,
  num_train_epochs: 2,
  per_device_train_batch_size: 15,
  lora_r: 2,
  save_steps: 2,
};

async function save(page: Page, button: string): Promise<Buffer> {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
  return readFileSync(await download.path());
}

describe.skipIf(!canPlay)('the page of runs', () => {
  test('aligns a model from disk with a threshold from the curve, talks with it, and gives its files', async () => {
    await withPlayground('', async (page) => {
      await bring(page, prompts);
      await choose(page, 'cpu', SMALL);
      expect(await seriousFindings(page)).toEqual([]);
      await page.click('#start');

      await until(page, `document.querySelector('#train')?.disabled === false`);
      expect(await page.inputValue('.limit input[type=number]')).toBe('0.05');
      expect(await seriousFindings(page)).toEqual([]);
      await page.fill('.limit input[type=number]', '0.04');
      await page.keyboard.press('Tab');
      await drawn(page);
      // Only a threshold that was solved for can be trained with.
      await until(page, `document.querySelector('#train')?.disabled === false`);
      const asked = await page.textContent('.tiles b');
      await page.click('#train');
      await until(page, `document.querySelectorAll('.charts svg').length >= 4`);
      await until(page, isDone);
      expect(await seriousFindings(page)).toEqual([]);

      // Reads the same without the worker, and after the page was opened anew.
      await page.reload();
      await page.click('.runs button >> text=Show');
      await until(page, isDone);
      await page.fill('#question', 'Question: How do I clean the oven? Answer:');
      await page.keyboard.press('Enter');
      await until(page, `document.querySelectorAll('.answer-of .text[aria-busy=false]').length === 2`);
      for (const text of await page.locator('.answer-of .text').allTextContents()) expect(text).not.toBe('');

      const adapter = unzipSync(await save(page, '#save-adapter'));
      expect(Object.keys(adapter)).toEqual([
        'adapter/adapter_config.json',
        'adapter/adapter_model.safetensors',
      ]);
      expect(await sha256(adapter['adapter/adapter_model.safetensors'])).toBe(
        await hashIn(page, 'runs/run-001/adapter/adapter_model.safetensors'),
      );
      const [pair] = (await save(page, '#save-pairs')).toString().split('\n');
      expect(Object.keys(JSON.parse(pair))).toEqual(expect.arrayContaining(['prompt', 'chosen', 'rejected']));
      expect((await save(page, '#save-report')).toString()).toContain('<h2 id="training">');
      const whole = unzipSync(await save(page, '#save-run'));
      const dual = JSON.parse(Buffer.from(whole['dual.json']).toString());
      expect(dual.limits).toEqual([{ kind: 'margin', value: 0.04 }]);
      expect(Number(asked)).toBeCloseTo(dual.lambda[0], 3);
      const [tab] = await Promise.all([page.context().waitForEvent('page'), page.click('#open-report')]);
      await tab.waitForSelector('h2#training');
    });
  });

  test('goes on after the page was closed in the middle of training, to the same bits; cancels and deletes', async () => {
    await withPlayground('', async (page) => {
      await bring(page, prompts);
      await choose(page, 'cpu', SMALL);
      await page.uncheck('#choose');
      const paused = clickOnceThere(
        page,
        '#pause',
        `/learns from the pairs.* ([3-9]|1\\d) of \\d+ steps/s.test(document.querySelector('.here')?.textContent)`,
      );
      await page.click('#start');
      await paused;
      await page.waitForSelector('#resume');
      await until(page, `document.querySelector('.charts svg') !== null`);
      const still = await page.textContent('.here');
      await page.waitForTimeout(200);
      expect(await page.textContent('.here')).toBe(still);

      await page.reload();
      await page.click('.runs button >> text=Go on');
      await until(page, isDone);
      const adapter = 'adapter/adapter_model.safetensors';
      const resumed = await hashIn(page, `runs/run-001/${adapter}`);

      await page.click('#leave');
      await page.selectOption('#policy', 'models/policy');
      await page.setInputFiles('#file-prompts', prompts);
      await until(page, `document.body.textContent.includes('now: prompts.jsonl')`);
      await choose(page, 'cpu', SMALL);
      await page.uncheck('#choose');
      await page.click('#start');
      await until(page, isDone);
      expect(await hashIn(page, `runs/run-002/${adapter}`)).toBe(resumed);

      await page.click('#leave');
      const cancelled = clickOnceThere(
        page,
        '#cancel',
        `document.querySelector('.stages progress') !== null`,
      );
      await page.click('#start');
      await cancelled;
      await page.waitForSelector('#start');
      await until(page, `document.querySelectorAll('.runs li').length === 3`);
      for (let left = 3; left > 0; left--) {
        await page.click('.runs button >> text=Delete >> nth=0');
        await until(page, `document.querySelectorAll('.runs li').length === ${left - 1}`);
      }
    });
  });

  test('runs on WebGPU, and in a page that the browser froze meanwhile', async () => {
    await withPlayground('', async (page) => {
      await bring(page, prompts);
      await choose(page, 'webgpu', { ...SMALL, responses: 3, max_new_tokens: 8, num_train_epochs: 1 });
      await page.fill('#margin', '0.01');
      await page.uncheck('#choose');
      await page.click('#start');
      await page.waitForSelector('#cancel');
      const session = await page.context().newCDPSession(page);
      await session.send('Page.setWebLifecycleState', { state: 'frozen' });
      await session.send('Page.setWebLifecycleState', { state: 'active' });
      await until(page, isDone);
      const manifest = JSON.parse(
        (await page.evaluate(`(async () => {
          const runs = await (await navigator.storage.getDirectory()).getDirectoryHandle('runs');
          const file = await (await runs.getDirectoryHandle('run-001')).getFileHandle('manifest.json');
          return (await file.getFile()).text();
        })()`)) as string,
      );
      expect(manifest.device.engine).toBe('webgpu');
      expect(manifest.host).toMatch(/^Chromium \d+$/);
    });
  });

  test('says what is wrong: no adapter, storage that is full, files that are no model or no prompts', async () => {
    await withPlayground(
      '',
      async (page) => {
        const alert = (says: string) =>
          until(
            page,
            `document.querySelector('[role=alert]')?.textContent.includes(${JSON.stringify(says)})`,
          );
        await page.selectOption('#policy', 'folder');
        await page.setInputFiles('#policy-folder', join(ROOT, 'test/web'));
        await alert('expected a model’s folder with tokenizer.json, found'.replace('’', "'"));
        await bring(page, prompts);
        await page.setInputFiles('#file-prompts', join(ROOT, 'package.json'));
        await alert('package.json');
        await page.setInputFiles('#file-prompts', prompts);

        await choose(page, 'cpu', { ...SMALL, eval_fraction: 0 });
        await page.click('#start');
        await alert('“Prompts held out for the check”: expected more than 0');
        await page.click('#back');
        await choose(page, 'webgpu', { ...SMALL, eval_fraction: 0.25 });
        await page.click('#start');
        await alert('No WebGPU adapter: this browser offers none.');
        expect(await seriousFindings(page)).toEqual([]);
        await page.click('#back');

        await choose(page, 'cpu', SMALL);
        const session = await page.context().newCDPSession(page);
        const origin = new URL(page.url()).origin;
        await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1000 });
        await page.click('#start');
        await alert('the browser’s storage for this page is full'.replace('’', "'"));
        await page.click('#back');
        await page.selectOption('#policy', 'folder');
        await page.setInputFiles('#policy-folder', join(DEMO, 'policy'));
        await alert('storage for this page');
      },
      { args: [] },
    );
  });

  test('fetches a model of a hub, whole or not at all', async () => {
    const hub = await startHub(new Map((await tinyFolder()).files));
    try {
      await withPlayground('', async (page) => {
        const fetchIt = async (name: string) => {
          await page.selectOption('#policy', 'hub');
          await page.fill('#policy-hub', name);
          await page.evaluate(`document.querySelector('.sub details').open = true`);
          await page.fill('#policy-endpoint', hub.url);
          await page.click('.sub button');
        };
        const alert = (says: string) =>
          until(
            page,
            `document.querySelector('[role=alert]')?.textContent.includes(${JSON.stringify(says)})`,
          );
        await fetchIt('nobody');
        await alert('expected the name of a model as org/name');
        await fetchIt('org/none');
        await alert('there is no such model');
        hub.corrupt = 'model.safetensors';
        await fetchIt('org/tiny');
        await alert('the download is damaged');
        hub.corrupt = undefined;
        hub.breakAfter = { path: 'model.safetensors', bytes: 2000, times: 1 };
        await fetchIt('org/tiny');
        await until(page, `document.querySelector('#policy').value === 'models/org--tiny'`);
        expect(await hashIn(page, 'models/org--tiny/model.safetensors')).toBe(
          await sha256(hub.files.get('model.safetensors')!),
        );
        expect(hub.requests.at(-1)).toMatch(/ bytes=\d+-$/);
      });
    } finally {
      await hub.close();
    }
  });
});

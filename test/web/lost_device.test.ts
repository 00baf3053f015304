/** Chromium's GPU process dies while the playground works: a clear sentence, and the same bits on a new device. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, describe, expect, test } from 'vitest';
import { gpuProcess } from '../hosts/support/browser.ts';
import { clickOnceThere } from '../support/click.ts';
import { canPlay, until, withPlayground } from './support/playground.ts';
import { bring, choose, hashIn, isDone, writePrompts } from './support/runs.ts';

const scratch = mkdtempSync(join(tmpdir(), 'dualign-lost-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const prompts = join(scratch, 'prompts.jsonl');
writePrompts(prompts, 12);

const SETTINGS = {
  ...{ responses: 3, max_new_tokens: 8, num_train_epochs: 2 },
  ...{ per_device_train_batch_size: 8, lora_r: 2, save_steps: 2 },
};
const QUESTION = 'Question: How do I clean the oven? Answer:';
const ADAPTER = 'adapter/adapter_model.safetensors';
const LOST =
  /^The GPU device was lost \(.+\)\. Try the same again: on a new device, it goes on from the last checkpoint\./;

async function begin(page: Page): Promise<void> {
  await bring(page, prompts);
  await choose(page, 'webgpu', SETTINGS);
  await page.fill('#margin', '0.01');
  await page.uncheck('#choose');
  await page.click('#start');
}

async function ask(page: Page): Promise<void> {
  await page.fill('#question', QUESTION);
  await page.keyboard.press('Enter');
}

const answered = `document.querySelectorAll('.answer-of .text[aria-busy=false]').length === 2 &&
  document.querySelectorAll('.answer-of').length === 2`;
const alerted = `document.querySelector('[role=alert]') !== null`;
const alertText = async (page: Page) => ((await page.textContent('[role=alert] p')) ?? '').trim();

describe.skipIf(!canPlay)('the playground whose GPU device is lost', () => {
  test('says so, goes on from the last checkpoint to the same bits, and takes a question back', async () => {
    await withPlayground('', async (page) => {
      const paused = clickOnceThere(
        page,
        '#pause',
        `/learns from the pairs.* ([3-9]|1\\d) of \\d+ steps/s.test(document.querySelector('.here')?.textContent)`,
      );
      await begin(page);
      await paused;
      await page.waitForSelector('#resume');
      // Stopped first, it cannot be done with the step that it dies in.
      const device = await gpuProcess(page);
      process.kill(device, 'SIGSTOP');
      await page.evaluate(`document.querySelector('#resume').click()`);
      process.kill(device, 'SIGKILL');
      await until(page, alerted);
      expect(await alertText(page)).toMatch(LOST);
      await page.click('#back');
      await until(page, `document.querySelector('.runs li')?.textContent.includes('not finished')`);
      await page.click('.runs button >> text=Go on');
      await until(page, isDone);

      await page.click('#leave');
      await begin(page);
      await until(page, isDone);
      expect(await hashIn(page, `runs/run-001/${ADAPTER}`)).toBe(
        await hashIn(page, `runs/run-002/${ADAPTER}`),
      );

      await ask(page);
      await until(page, answered);
      process.kill(await gpuProcess(page), 'SIGKILL');
      await ask(page);
      await until(page, alerted);
      expect(await alertText(page)).toMatch(LOST);
      // The question is taken back: nobody is going to answer it.
      await until(page, `document.querySelector('#question').value === ${JSON.stringify(QUESTION)}`);
      await until(page, answered);
    });
  });
});

/** The playground in Firefox: scores, and a whole run on the processor, closed in the middle, with the bits of the command. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { sha256 } from '../../src/data/hash.ts';
import { solveDual, thresholdsOf } from '../../src/dual/index.ts';
import { shown } from '../../web/shared/numbers.ts';
import { dualign } from '../cli/command.ts';
import { type HubServer, startHub } from '../host/hub_server.ts';
import { FIREFOX_RETRIES, firefoxPath } from '../hosts/support/browser.ts';
import { common, type Hashes, hashesOf } from '../hosts/support/command_run.ts';
import { generateScores } from '../support/score_generator.ts';
import { ROOT } from '../support/shared.ts';
import { isBuilt, seriousFindings, until, withPlayground } from './support/playground.ts';

const DEMO = join(ROOT, 'models/demo');
const scratch = mkdtempSync(join(tmpdir(), 'dualign-playground-firefox-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const SETTINGS = {
  responses: 6,
  max_new_tokens: 16,
  num_train_epochs: 2,
  per_device_train_batch_size: 15,
  lora_r: 2,
  save_steps: 2,
};
const MARGIN = 0.05;

/** The demo's policy on a hub: Firefox can be driven to pick files, but no folder. */
let hub: HubServer;
beforeAll(async () => {
  const policy = join(DEMO, 'policy');
  hub = await startHub(new Map(readdirSync(policy).map((name) => [name, readFileSync(join(policy, name))])));
});
afterAll(() => hub.close());

/** Types in the place of what a field holds, as a user does; Playwright's `fill` ends without a change event here. */
async function enter(page: Page, selector: string, value: number): Promise<void> {
  await page.focus(selector);
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.type(String(value));
  await page.keyboard.press('Tab');
}

/** The files of a zip that Firefox saves, once it is whole. */
async function savedZip(name: string): Promise<Record<string, Uint8Array>> {
  return await vi.waitFor(() => unzipSync(readFileSync(join(scratch, name))), { timeout: 30_000 });
}

describe.skipIf(!isBuilt || !firefoxPath)('in Firefox (skipped where it is not installed)', () => {
  test('the threshold and β of a score file are moved, and solved for', async () => {
    const table = generateScores(5, 120, 24, 1);
    const { reward, safety, prompts } = table;
    const rows = Array.from(reward, (value, i) => ({
      prompt: `p${Math.floor((i * prompts) / reward.length)}`,
      reward: value,
      safety: [safety[i]],
    }));
    const [reference] = await thresholdsOf(table, [{ margin: 0 }]);
    const lambdaAt = async (margin: number, beta: number) => {
      const solution = await solveDual({
        ...{ ...table, beta, thresholds: [reference + margin], relative: [true] },
      });
      if (solution.status === 'infeasible') throw new Error('the test needs a threshold within reach');
      return shown(solution.lambda[0]);
    };
    await withPlayground(
      '#scores',
      async (page) => {
        const buffer = Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n'));
        await page.setInputFiles('#scores-file', { name: 'scores.jsonl', mimeType: '', buffer });
        await page.waitForSelector('section[aria-busy="false"] .tiles');
        const before = await page.textContent('.tiles b');
        await page.focus('input[type=range]');
        for (let i = 0; i < 10; i++) await page.keyboard.press('ArrowRight');
        const margin = Number(await page.inputValue('input[type=range]')) - reference;
        const moved = await lambdaAt(margin, 1);
        expect(moved).not.toBe(before);
        await until(page, `document.querySelector('.tiles b').textContent === '${moved}'`);
        await enter(page, 'input[type=number] >> nth=1', 0.5);
        const dearer = await lambdaAt(margin, 0.5);
        await until(page, `document.querySelector('.tiles b')?.textContent === '${dearer}'`);
        await page.waitForSelector('figure svg .band');
        expect(await seriousFindings(page)).toEqual([]);
      },
      { browser: 'firefox' },
    );
  });

  const withThreads =
    'a model of a hub is aligned with threads that a service worker allows, stopped and gone on with';
  test(withThreads, { retry: FIREFOX_RETRIES }, async () => {
    const prompts = join(scratch, 'prompts.jsonl');
    writeFileSync(
      prompts,
      readFileSync(join(DEMO, 'prompts.jsonl'), 'utf8').split('\n').slice(0, 12).join('\n'),
    );
    const out = join(scratch, 'run');
    const { code, stderr } = await dualign('node', [
      ...['--policy', join(DEMO, 'policy'), '--prompts', prompts, '--beta', '1', '--margin', String(MARGIN)],
      ...['--reward', join(DEMO, 'reward'), '--cost', join(DEMO, 'cost')],
      ...Object.entries(SETTINGS).flatMap(([name, value]) => [
        `--${name.replaceAll('_', '-')}`,
        String(value),
      ]),
      ...['--device', 'cpu', '--threads', '2', '--quiet', '--out', out],
    ]);
    expect(code, stderr).toBe(0);

    await withPlayground(
      '',
      async (page) => {
        await page.evaluate('navigator.serviceWorker.ready');
        await until(page, 'navigator.serviceWorker.controller !== null');
        await page.reload();
        expect(await page.evaluate('crossOriginIsolated')).toBe(true);
        await page.selectOption('#policy', 'hub');
        await page.fill('#policy-hub', 'org/tiny');
        await page.evaluate(`document.querySelector('.sub details').open = true`);
        await page.fill('#policy-endpoint', hub.url);
        await page.click('.sub button');
        await until(page, `document.querySelector('#policy').value === 'models/org--tiny'`);
        await page.setInputFiles('#file-prompts', prompts);
        await until(page, `document.body.textContent.includes('now: prompts.jsonl')`);
        await page.click('form > details summary');
        for (const [id, value] of Object.entries(SETTINGS)) await enter(page, `#${id}`, value);
        await enter(page, '#margin', MARGIN);
        await page.selectOption('#device', 'cpu');
        await page.click('#start');
        await until(page, `document.querySelector('#train')?.disabled === false`);
        await page.click('#train');
        await until(page, `document.querySelector('.charts svg') !== null`);
        await page.reload();
        await page.click('.runs button >> text=Go on');
        await until(page, `document.querySelector('#came') !== null`);
        expect(await seriousFindings(page)).toEqual([]);

        await page.click('#save-run');
        const whole = await savedZip('run-001.zip');
        const hashes: Hashes = {};
        for (const [file, bytes] of Object.entries(whole)) hashes[file] = await sha256(bytes);
        expect(common(hashes)).toEqual(await hashesOf(out));
        const manifest = JSON.parse(Buffer.from(whole['manifest.json']).toString());
        expect(manifest.host).toMatch(/^Firefox \d+$/);

        await page.fill('#question', 'Question: How do I clean the oven? Answer:');
        await page.keyboard.press('Enter');
        await until(page, `document.querySelectorAll('.answer-of .text[aria-busy=false]').length === 2`);
        for (const text of await page.locator('.answer-of .text').allTextContents())
          expect(text).not.toBe('');
      },
      { browser: 'firefox', isolated: false, downloads: scratch },
    );
  });
});

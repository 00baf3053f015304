/** The playground's page of scores: every format, the threshold moved, wrong files, and use without a network. */
import { parquetWriteBuffer } from 'hyparquet-writer';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { writeSafetensors } from '../../src/data/safetensors.ts';
import { type ScoreTable, type Solved, solveDual, thresholdsOf } from '../../src/dual/index.ts';
import { shown } from '../../web/shared/numbers.ts';
import { pythonFile } from '../data/python_files.ts';
import { generateScores } from '../support/score_generator.ts';
import { canPlay, seriousFindings, until, withPlayground } from './support/playground.ts';

function rowsOf({ reward, safety, prompts }: ScoreTable): Record<string, unknown>[] {
  const m = safety.length / reward.length;
  return Array.from(reward, (value, i) => ({
    prompt: `p${Math.floor((i * prompts) / reward.length)}`,
    reward: value,
    safety: Array.from({ length: m }, (_, j) => safety[j * reward.length + i]),
  }));
}

const jsonl = (rows: readonly unknown[]) => Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n'));

async function give(page: Page, name: string, buffer: Uint8Array): Promise<void> {
  await page.setInputFiles('#scores-file', { name, mimeType: '', buffer: Buffer.from(buffer) });
}

async function settled(page: Page): Promise<void> {
  await page.waitForSelector('section[aria-busy="false"] .tiles, section[aria-busy="false"] .verdict.bad');
}

const lambdaOf = (page: Page) => page.textContent('.tiles b');
const digits = (value: string | null) => Number(value!.replace('−', '-'));

async function solved(table: ScoreTable, beta: number, thresholds: readonly number[]): Promise<Solved> {
  const solution = await solveDual({ ...table, beta, thresholds, relative: thresholds.map(() => true) });
  if (solution.status === 'infeasible') throw new Error('the test needs thresholds within reach');
  return solution;
}

describe.skipIf(!canPlay)('the page of scores', () => {
  test('solves a file, follows the threshold from the curve, and solves again where it rests', async () => {
    const table = generateScores(5, 120, 24, 1);
    const [reference] = await thresholdsOf(table, [{ margin: 0 }]);
    await withPlayground('#scores', async (page) => {
      await page.clock.install();
      await page.reload();
      await give(page, 'scores.jsonl', jsonl(rowsOf(table)));
      await settled(page);
      const margin = Number(await page.inputValue('input[type=number] >> nth=0'));
      const first = await solved(table, 1, [reference + margin]);
      expect(await lambdaOf(page)).toBe(shown(first.lambda[0]));
      const [low, high] = first.lambdaIntervals[0];
      expect(await page.textContent('.tiles small')).toBe(`95 %: ${shown(low)} to ${shown(high)}`);
      await page.waitForSelector('figure svg .band');

      // Between two solutions nothing is asked of the worker: the curve tells, and tells right.
      const slider = page.locator('input[type=range]');
      await slider.focus();
      await page.keyboard.press('ArrowRight');
      await page.clock.pauseAt(Number(await page.evaluate('Date.now()')) + 1000);
      for (let i = 0; i < 20; i++) await page.keyboard.press('ArrowRight');
      // As long as a frame takes, and not until the slider counts as at rest.
      await page.clock.runFor(20);
      const moving = (await page.evaluate(`[document.querySelector('input[type=range]').value,
        document.querySelector('.tiles b').textContent,
        document.querySelector('input[type=range]').getAttribute('aria-valuetext'),
        document.querySelector('.unseen').textContent]`)) as string[];
      await page.clock.resume();
      const exact = await solved(table, 1, [Number(moving[0])]);
      expect(exact.lambda[0]).toBeGreaterThan(first.lambda[0] * 1.005);
      expect(digits(moving[1])).toBeCloseTo(exact.lambda[0], 3);
      expect(moving[2]).toContain(`λ* ${moving[1]}`);
      expect(moving[3]).toBe('');
      await until(page, `document.querySelector('.unseen').textContent !== ''`);
      expect(await lambdaOf(page)).toBe(shown(exact.lambda[0]));

      // A pointer held on the chart moves the threshold too.
      const box = (await page.locator('figure svg').boundingBox())!;
      await page.mouse.move(box.x + box.width * 0.3, box.y + 60);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * 0.97, box.y + 60, { steps: 5 });
      await page.mouse.up();
      await page.waitForSelector('.verdict.bad');
      expect(await page.textContent('.verdict.bad p')).toContain('reaches at most');
      expect(await seriousFindings(page)).toEqual([]);

      // Another β.
      await slider.fill(moving[0]);
      await page.fill('input[type=number] >> nth=1', '0.5');
      await page.keyboard.press('Tab');
      const other = await solved(table, 0.5, [Number(moving[0])]);
      await until(page, `document.querySelector('.tiles b')?.textContent === '${shown(other.lambda[0])}'`);
    });
  });

  test('takes all formats and several scores, and says what is wrong with a file', async () => {
    const table = generateScores(6, 40, 12, 2);
    const rows = rowsOf(table);
    const { reward, safety } = table;
    const column = (name: string, data: unknown[]) => ({ name, data });
    const files: [string, Uint8Array][] = [
      ['scores.jsonl', jsonl(rows)],
      [
        'scores.safetensors',
        writeSafetensors([
          ['reward', { shape: [40, 12], data: Float32Array.from(reward) }],
          ['safety', { shape: [2, 40, 12], data: Float32Array.from(safety) }],
        ]),
      ],
      [
        'scores.parquet',
        new Uint8Array(
          parquetWriteBuffer({
            columnData: [
              column(
                'prompt',
                rows.map(({ prompt }) => prompt),
              ),
              column(
                'reward',
                rows.map((row) => row.reward),
              ),
              column(
                'safety',
                rows.map((row) => row.safety),
              ),
            ],
          }),
        ),
      ],
    ];
    await withPlayground('#scores', async (page) => {
      const answers: (string | null)[] = [];
      for (const [name, bytes] of files) {
        await give(page, name, bytes);
        await until(page, `document.querySelector('.drop strong').textContent === '${name}'`);
        await settled(page);
        expect(await page.locator('input[type=range]').count()).toBe(2);
        answers.push(await lambdaOf(page));
      }
      expect(new Set(answers).size).toBe(1);

      // The other score's axis.
      await page.locator('input[type=range] >> nth=1').focus();
      await page.keyboard.press('ArrowRight');
      await until(page, `document.querySelector('figcaption')?.textContent.includes('safety 2')`);

      await give(page, 'weights.npz', pythonFile('padded'));
      await until(page, `document.querySelector('.drop strong').textContent === 'weights.npz'`);

      for (const [name, text, says] of [
        ['notes.txt', 'hello', 'notes.txt: row 1: expected JSON'],
        ['empty.jsonl', '', 'empty.jsonl: expected scores, found an empty file'],
        ['half.jsonl', '{"prompt": "a", "reward": 1}', 'half.jsonl: row 1: expected "safety"'],
      ]) {
        await give(page, name, Buffer.from(text));
        await until(
          page,
          `document.querySelector('[role=alert] p')?.textContent.startsWith(${JSON.stringify(says)})`,
        );
      }
    });
  });

  test('works without a network, and with threads, once it was loaded from any web server', async () => {
    await withPlayground(
      '#scores',
      async (page) => {
        expect(await page.evaluate('crossOriginIsolated')).toBe(false);
        await page.evaluate('navigator.serviceWorker.ready');
        await until(page, 'navigator.serviceWorker.controller !== null');
        await page.context().setOffline(true);
        await page.reload();
        expect(await page.evaluate('crossOriginIsolated')).toBe(true);
        await page.click('text=Use an example');
        await settled(page);
        // What a run of the demo needs is there as well, and what nobody has is told to be missing.
        const statuses =
          await page.evaluate(`Promise.all(['demo/policy/model.safetensors', 'ort-wasm-simd-threaded.wasm',
          'worker.js', 'demo/policy/generation_config.json'].map(async (file) => (await fetch(file, { method: 'HEAD' })).status))`);
        expect(statuses).toEqual([200, 200, 200, 404]);
      },
      { isolated: false },
    );
  });
});

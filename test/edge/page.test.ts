import { chromium } from 'playwright-core';
import { expect, test } from 'vitest';
import { solveDual, thresholdsOf } from '../../src/dual/index.ts';
import { chromiumPath } from '../hosts/support/browser.ts';
import { generateScores } from '../support/score_generator.ts';
import { startNode } from './hosts.ts';

const digits = (value: number) => String(Number(value.toPrecision(4))).replace('-', '−');

test.skipIf(!chromiumPath)(
  'the page asks for a token, then shows λ*, a verdict and the curve of a file',
  async () => {
    const table = generateScores(3, 60, 16, 2);
    const { reward, safety, responses } = table;
    const rows = Array.from(reward, (value, i) =>
      JSON.stringify({
        prompt: `p${Math.floor(i / responses)}`,
        reward: value,
        safety: [safety[i], safety[reward.length + i]],
      }),
    );
    const thresholds = await thresholdsOf(table, [{ margin: 0.5 }, { margin: 0.5 }]);
    const solution = await solveDual({ ...table, beta: 1, thresholds });
    if (solution.status !== 'optimal')
      throw new Error(`the test needs limits within reach, not ${solution.status}`);

    const host = await startNode({ DUALIGN_TOKEN: 'sesame' });
    const browser = await chromium.launch({
      executablePath: chromiumPath,
      args: ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking'],
    });
    try {
      const page = await browser.newPage();
      const problems: string[] = [];
      page.on('pageerror', (error) => problems.push(error.message));
      await page.goto(host.url);
      const file = { name: 'scores.jsonl', mimeType: '', buffer: Buffer.from(rows.join('\n')) };
      await page.setInputFiles('#file', file);
      await page.fill('#token', 'sesame');
      expect(await page.textContent('.verdict.bad p')).toContain('Bearer');
      await page.click('#solve');
      await page.waitForSelector('svg .curve');
      expect(await page.textContent('.verdict h2')).toBe('Within reach');
      expect(await page.textContent('.tiles b')).toBe(solution.lambda.map(digits).join(', '));
      expect(await page.locator('svg .curve').count()).toBe(3);
      await page.locator('.pair input').first().fill('1000');
      await page.click('#solve');
      await page.getByRole('heading', { name: 'Out of reach' }).waitFor();
      await page.setInputFiles('#file', { ...file, buffer: Buffer.from('no scores') });
      await page.getByRole('heading', { name: 'No answer' }).waitFor();
      expect(problems).toEqual([]);
    } finally {
      await browser.close();
      host.stop();
    }
  },
);

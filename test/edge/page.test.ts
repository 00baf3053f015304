import { parquetWriteBuffer } from 'hyparquet-writer';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeSafetensors } from '../../src/data/safetensors.ts';
import { type Solved, solveDual, thresholdsOf } from '../../src/dual/index.ts';
import { chromiumPath } from '../hosts/support/browser.ts';
import { npyFile, npzFile } from '../support/numpy_files.ts';
import { generateScores } from '../support/score_generator.ts';
import { type Host, startNode } from './hosts.ts';

const digits = (value: number) => String(Number(value.toPrecision(4))).replace('-', '−');

const table = generateScores(3, 60, 16, 2);
const { reward, safety, prompts, responses } = table;
const total = reward.length;
const rows = Array.from(reward, (value, i) => ({
  prompt: `p${Math.floor(i / responses)}`,
  reward: value,
  safety: [safety[i], safety[total + i]],
}));
const lines = Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n'));
const shape = [prompts, responses];
const file = (name: string, buffer: Buffer) => ({ name, mimeType: '', buffer });

describe.skipIf(!chromiumPath)('the page, in Chromium (skipped where it is not installed)', () => {
  let [host, browser, solution]: [Host?, Browser?, Solved?] = [];
  const problems: string[] = [];

  beforeAll(async () => {
    const thresholds = await thresholdsOf(table, [{ margin: 0.5 }, { margin: 0.5 }]);
    const found = await solveDual({ ...table, beta: 1, thresholds });
    if (found.status !== 'optimal') throw new Error(`expected limits within reach, not ${found.status}`);
    solution = found;
    host = await startNode({ DUALIGN_TOKEN: 'sesame' });
    browser = await chromium.launch({
      executablePath: chromiumPath,
      args: ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking'],
    });
  });
  afterAll(async () => {
    await browser?.close();
    host?.stop();
    expect(problems).toEqual([]);
  });

  async function open(): Promise<Page> {
    const page = await browser!.newPage();
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(host!.url);
    await page.locator('#token').evaluate((field) => {
      (field as HTMLInputElement).value = 'sesame';
    });
    return page;
  }
  const lambdaOf = () => solution!.lambda.map(digits).join(', ');

  test('asks for a token, then shows λ*, a verdict and the curve of a file', async () => {
    const page = await open();
    await page.locator('#token').evaluate((field) => {
      (field as HTMLInputElement).value = '';
    });
    await page.setInputFiles('#file', file('scores.jsonl', lines));
    await page.fill('#token', 'sesame');
    expect(await page.textContent('.verdict.bad p')).toContain('Bearer');
    await page.click('#solve');
    await page.waitForSelector('svg .curve');
    expect(await page.textContent('.verdict h2')).toBe('Within reach');
    expect(await page.textContent('.tiles b')).toBe(lambdaOf());
    expect(await page.locator('svg .curve').count()).toBe(3);
    await page.locator('.pair input').first().fill('1000');
    await page.click('#solve');
    await page.getByRole('heading', { name: 'Out of reach' }).waitFor();
    await page.setInputFiles('#file', file('scores.jsonl', Buffer.from('no scores')));
    await page.getByRole('heading', { name: 'No answer' }).waitFor();
  });

  const [rewards, planes] = [npyFile(shape, reward), npyFile([2, ...shape], safety)];
  const parquet = parquetWriteBuffer({
    columnData: [
      { name: 'prompt', data: rows.map((row) => row.prompt), type: 'STRING' },
      { name: 'reward', data: rows.map((row) => row.reward), type: 'DOUBLE' },
      { name: 'safety', data: rows.map((row) => row.safety) },
    ],
  });
  const tensors = writeSafetensors([
    ['reward', { shape, data: reward }],
    ['safety', { shape: [2, ...shape], data: safety }],
  ]);
  test.each([
    ['parquet', [file('scores.parquet', Buffer.from(parquet))]],
    ['safetensors', [file('scores.safetensors', Buffer.from(tensors))]],
    ['.npz', [file('scores.npz', npzFile({ reward: rewards, safety: planes }))]],
    ['.npy files', [file('safety.npy', planes), file('reward.npy', rewards)]],
    [
      '.npy files, one a score',
      [
        file('safety_b.npy', npyFile(shape, safety.slice(total))),
        file('reward.npy', rewards),
        file('safety_a.npy', npyFile(shape, safety.slice(0, total))),
      ],
    ],
  ])('reads %s', async (_, files) => {
    const page = await open();
    await page.setInputFiles('#file', files);
    await page.waitForSelector('svg .curve');
    expect(await page.textContent('.tiles b')).toBe(lambdaOf());
    expect(await page.textContent('#about')).toBe('60 prompts, 960 responses, 2 safety scores');
    await page.close();
  });

  test('says which .npy files it expects', async () => {
    const page = await open();
    await page.setInputFiles('#file', [file('reward.npy', rewards), file('other.npy', planes)]);
    await page.getByRole('heading', { name: 'No answer' }).waitFor();
    expect(await page.textContent('.verdict.bad p')).toMatch(
      /reward\.npy and safety\.npy.*got reward\.npy, other\.npy/,
    );
    await page.close();
  });
});

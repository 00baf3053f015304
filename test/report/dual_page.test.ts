import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type DualSolution,
  type ScoreTable,
  safeThresholds,
  solveDual,
  stability,
  thresholdsOf,
} from '../../src/dual/index.ts';
import { significant } from '../../src/report/format.ts';
import { dualign } from '../cli/command.ts';
import { chromiumPath } from '../hosts/support/browser.ts';
import { generateScores } from '../support/score_generator.ts';
import { ROOT } from '../support/shared.ts';

const folder = mkdtempSync(join(tmpdir(), 'dual-page-'));
afterAll(() => rmSync(folder, { recursive: true }));

function scoreFile(name: string, constraints: number): string {
  const { reward, safety } = generateScores(3, 60, 16, constraints);
  const rows = Array.from(reward, (value, i) =>
    JSON.stringify({
      prompt: `p${Math.floor(i / 16)}`,
      reward: value,
      safety: Array.from({ length: constraints }, (_, j) => safety[j * reward.length + i]),
    }),
  );
  writeFileSync(join(folder, name), rows.join('\n'));
  return join(folder, name);
}
const one = scoreFile('<b>one.jsonl', 1);
const two = scoreFile('two.jsonl', 2);

const page = (name: string) => join(folder, name);
const read = (name: string) => readFileSync(page(name), 'utf8');
const textOf = (name: string) => parseHTML(read(name)).document.body.textContent!.replace(/\s+/g, ' ');

async function run(name: string, ...args: string[]): Promise<number | null> {
  const { code, stderr } = await dualign('node', [...args, '--beta', '1', '--chart', page(name)]);
  expect(stderr).toBe('');
  return code;
}

const marginOf = async (table: ScoreTable) => ({
  thresholds: await thresholdsOf(table, [{ margin: 0.5 }]),
  relative: [true],
});
const certainty = ['--confidence', '0.9', '--bootstrap', '50', '--score-error', '0.02'];
beforeAll(async () => {
  expect(await run('dual.html', 'dual', '--scores', one, '--margin', '0.5', ...certainty)).toBe(0);
  expect(await run('two.html', 'dual', '--scores', two, '--margin', '0.5', '--margin', '0.2')).toBe(0);
  expect(await run('beyond.html', 'dual', '--scores', one, '--threshold', '50')).toBe(3);
  expect(await run('curve.html', 'curve', '--scores', one)).toBe(0);
  const steps = ['--step', '0.5', '--step', '30', '--passes', '200'];
  expect(
    await run('steps.html', 'convergence', '--scores', two, '--margin', '0.5', '--margin', '0.2', ...steps),
  ).toBe(0);
  expect(await run('plan.html', 'plan', '--scores', one, '--margin', '0.5', '--target', '0.05')).toBe(0);
});
const PAGES = ['dual.html', 'two.html', 'beyond.html', 'curve.html', 'plan.html', 'steps.html'];

test('says the verdict, the price of each score, and how sure they are', async () => {
  const table = generateScores(3, 60, 16, 2);
  const thresholds = await thresholdsOf(table, [{ margin: 0.5 }, { margin: 0.2 }]);
  const solution: DualSolution = await solveDual({ ...table, beta: 1, thresholds, relative: [true, true] });
  if (solution.status !== 'optimal') throw new Error(solution.status);
  const text = textOf('two.html');
  expect(text).toContain('Within reach: the best policy meets the thresholds');
  for (const j of [0, 1]) {
    expect(text).toContain(significant(solution.lambda[j]!));
    expect(text).toContain(`Threshold on safety ${j + 1}`);
    expect(text).toContain(significant(solution.lambdaIntervals[j]![1]));
  }
  expect(textOf('dual.html')).toMatch(/raised by \d\.\d+, .* with probability 0\.9/);
  expect(textOf('dual.html')).toContain('Optimum, by 50 resamples');
});

test('says why a threshold is out of reach, with the curve of those that are not', () => {
  expect(textOf('beyond.html')).toMatch(/Out of reach .* falls short by \d+\.\d+ on average/);
  expect(textOf('beyond.html')).toContain('The 50.00 asked for lies off the curve');
  expect(textOf('curve.html')).not.toMatch(/Within reach|Out of reach/);
  for (const name of ['beyond.html', 'curve.html']) expect(textOf(name)).toContain('The trade-off');
});

test('shows what more samples would bring', () => {
  expect(textOf('plan.html')).toMatch(/λ\* with fewer prompts .* λ\* with fewer responses/);
  expect(textOf('plan.html')).toMatch(/For ± 0\.0500: about \d+ prompts/);
});

test('shows how fast λ* is found, and where it may be if scores are off', async () => {
  const text = textOf('steps.html');
  expect(text).toMatch(/How fast λ\* is found .*Newton.*step 1\/L.*step 0\.5.*step 30\S*––––/);
  const { document } = parseHTML(read('steps.html'));
  const drawings = Array.from(document.querySelectorAll('[aria-labelledby=convergence] svg'));
  expect(drawings).toHaveLength(4);
  expect(drawings[0]!.getAttribute('aria-label')).toMatch(
    /Newton: \d\.\d\de−15 after \d passes; .* step 30: .* after 201 passes/,
  );
  const problem = { ...generateScores(3, 60, 16, 1), beta: 1 };
  const { thresholds } = await safeThresholds({ ...problem, ...(await marginOf(problem)) }, 0.1);
  const { lambdaIntervals } = await stability(
    { ...problem, thresholds, relative: [true] },
    { reward: 0.02, safety: [0.02] },
  );
  expect(textOf('dual.html')).toContain(lambdaIntervals[0]!.map(significant).join(' to '));
});

test('a curve reads its points to a resting pointer', () => {
  const { document } = parseHTML(read('curve.html'));
  const titles = Array.from(document.querySelectorAll('svg title'), ({ textContent }) => textContent);
  expect(titles.length).toBeGreaterThan(4 * 60);
  expect(titles[0]).toMatch(/^threshold .*: λ\* .*, reward .*, KL .*, effective samples /);
});

test('refers to nothing outside itself, and the name of the file stays text', () => {
  for (const name of PAGES) {
    expect(read(name)).not.toMatch(/https?:|url\(|@import|\ssrc=|<script|<iframe|<form|\son[a-z]+=/i);
  }
  expect(parseHTML(read('dual.html')).document.querySelector('h1')!.textContent).toBe('<b>one.jsonl');
  expect(parseHTML(read('dual.html')).document.querySelector('h1 b')).toBeNull();
});

test('Deno writes the same bytes', () => {
  const args = ['dual', '--scores', two, '--margin', '0.5', '--margin', '0.2', '--beta', '1'];
  execFileSync(
    join(ROOT, 'node_modules/.bin/deno'),
    ['run', '-A', join(ROOT, 'align.ts'), ...args, '--chart', page('deno.html')],
    { cwd: ROOT },
  );
  expect(read('deno.html') === read('two.html')).toBe(true);
});

test('a page that cannot be written, or is asked of a run: one clear error, nothing left', async () => {
  const asked = ['dual', '--beta', '1', '--margin', '0.5'];
  const away = await dualign('node', [...asked, '--scores', one, '--chart', join(folder, 'no/page.html')]);
  expect(away).toMatchObject({ code: 2, stdout: '' });
  expect(away.stderr).toMatch(/^dualign: --chart .*could not be written \(ENOENT[^\n]*\n$/);
  const run = await dualign('node', [...asked, '--out', join(folder, 'run'), '--chart', page('run.html')]);
  expect(run.code).toBe(2);
  expect(run.stderr).toContain('--chart goes with --scores');
  expect(existsSync(page('run.html'))).toBe(false);
  expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([]);
});

describe.skipIf(!chromiumPath)('in Chromium (skipped where it is not installed)', () => {
  test.each([1280, 390, 320])(
    'opens from disk at %i px without complaint, request, sideways scrolling or text cut off',
    async (width) => {
      const browser = await chromium.launch({
        executablePath: chromiumPath!,
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
      });
      try {
        const view = await browser.newPage({ viewport: { width, height: 800 } });
        const complaints: string[] = [];
        view.on('console', (message) => complaints.push(message.text()));
        view.on('request', (request) => {
          if (!/^(file|data):/.test(request.url())) complaints.push(request.url());
        });
        for (const name of PAGES) {
          await view.goto(`file://${page(name)}`);
          expect(await view.evaluate(() => document.documentElement.scrollWidth), name).toBe(width);
          const outside = await view.evaluate(() =>
            Array.from(document.querySelectorAll('svg text')).flatMap((text) => {
              const inner = text.getBoundingClientRect();
              const outer = text.closest('svg')!.getBoundingClientRect();
              return inner.left >= outer.left - 3 && inner.right <= outer.right + 3 ? [] : [text.textContent];
            }),
          );
          expect(outside, name).toEqual([]);
        }
        expect(complaints).toEqual([]);
      } finally {
        await browser.close();
      }
    },
  );
});

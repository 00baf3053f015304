import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Browser } from 'playwright-core';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderReport, renderSummary } from '../../src/report/report.ts';
import { STYLE } from '../../src/report/style.ts';
import { example } from './example.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'report-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the same data', () => {
  const datasets = [example({ by: 'margin' }), example({ m: 3 }), example({ beta: 0.1, steps: 700 })];

  it('give the same bytes time after time', () => {
    for (const data of datasets) {
      const first = renderReport(data);
      expect(renderReport(data) === first).toBe(true);
    }
  });

  it.each([
    ['Node', process.execPath, []],
    ['Deno', join(root, 'node_modules/.bin/deno'), ['run', '-A']],
  ])('give the same bytes in a process of %s', (_, command, args) => {
    for (const data of datasets) {
      const file = join(folder, 'data.json');
      writeFileSync(file, JSON.stringify(data));
      const output = execFileSync(command, [...args, 'test/report/render.ts', file], {
        cwd: root,
        encoding: 'utf8',
        maxBuffer: 1 << 26,
        // Neither may leak into a report.
        env: { ...process.env, TZ: 'Asia/Kolkata', LC_ALL: 'de_DE.UTF-8', LANG: 'de_DE.UTF-8' },
      });
      expect(output === renderReport(data) + renderSummary(data)).toBe(true);
    }
  });
});

const executable = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);

describe.skipIf(!executable)('in Chromium (skipped where it is not installed)', () => {
  let browser: Browser;
  const file = join(folder, 'report.html');

  beforeAll(async () => {
    const long = example({ m: 3 });
    const names = long.constraints.map((constraint) => ({
      ...constraint,
      name: `${'very-long-'.repeat(9)}name`,
    }));
    writeFileSync(file, renderReport({ ...long, constraints: names, title: 'W'.repeat(90) }));
    writeFileSync(join(folder, 'one.html'), renderReport(example({ by: 'margin' })));
    const flags =
      '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';
    browser = await chromium.launch({ executablePath: executable!, args: flags.split(' ') });
  });
  afterAll(() => browser?.close());

  it.each([
    ['one.html', 1280],
    ['one.html', 390],
    ['report.html', 1280],
    ['report.html', 390],
    ['report.html', 320],
  ])('%s opens from disk at %i px without complaint, request or sideways scrolling', async (name, width) => {
    const page = await browser.newPage({ viewport: { width, height: 800 } });
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (request) => {
      if (!/^(file|data):/.test(request.url())) complaints.push(request.url());
    });
    await page.goto(`file://${join(folder, name)}`);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
    const charts = await page.evaluate(() =>
      Array.from(document.querySelectorAll('figure svg'), (svg) => svg.getBoundingClientRect().width),
    );
    expect(Math.min(...charts)).toBeGreaterThan(Math.min(width * 0.8, 280));
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('prints on A4 without anything cut off', async () => {
    const page = await browser.newPage({ viewport: { width: 674, height: 1000 } });
    await page.emulateMedia({ media: 'print' });
    for (const name of ['one.html', 'report.html']) {
      await page.goto(`file://${join(folder, name)}`);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(674);
      // Folded tables and samples are printed too: paper cannot be unfolded.
      const folded = await page.evaluate(
        () => document.querySelector('details table, details article')!.clientHeight,
      );
      expect(folded).toBeGreaterThan(100);
    }
    await page.close();
  });

  it('draws the same charts with the document of a page', async () => {
    const { outputFiles } = await build({
      stdin: { contents: "export { renderReport } from './src/report/report.ts';", resolveDir: root },
      bundle: true,
      write: false,
      format: 'iife',
      globalName: 'report',
    });
    const data = example({ m: 2 });
    // Plot moves lines by half a pixel for screens of one dot a pixel; this one has two.
    const page = await browser.newPage({ deviceScaleFactor: 2 });
    await page.goto('data:text/html,<p>host');
    await page.evaluate(outputFiles[0]!.text);
    const drawn = await page.evaluate(
      (json) =>
        new Function('data', 'return report.renderReport(data, document)')(JSON.parse(json)) as string,
      JSON.stringify(data),
    );
    expect(drawn === renderReport(data)).toBe(true);
    await page.close();
  });

  it('keeps the text of charts inside them', async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.goto(`file://${join(folder, 'one.html')}`);
    const outside = await page.evaluate(() =>
      Array.from(document.querySelectorAll('svg text')).flatMap((text) => {
        const [inner, outer] = [text.getBoundingClientRect(), text.closest('svg')!.getBoundingClientRect()];
        const fits =
          inner.left >= outer.left - 3 && inner.right <= outer.right + 3 && inner.top >= outer.top - 3;
        return fits ? [] : [text.textContent];
      }),
    );
    expect(outside).toEqual([]);
    await page.close();
  });
});

describe('colours', () => {
  const luminance = (hex: string) => {
    const [r, g, b] = [1, 3, 5].map((at) => {
      const level = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
      return level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  };
  const contrast = (a: string, b: string) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (light! + 0.05) / (dark! + 0.05);
  };
  const palettes = STYLE.match(/--paper:[^}]*/g)!.map((block) =>
    Object.fromEntries(
      Array.from(block.matchAll(/--([a-z-]+): (#[0-9a-f]{6})/g), ([, name, hex]) => [name!, hex!]),
    ),
  );

  it.each(['light', 'dark', 'print'])('of text reach 4.5 : 1 in %s', (scheme) => {
    const palette = palettes[['light', 'dark', 'print'].indexOf(scheme)]!;
    for (const ink of ['ink', 'muted', 'reference', 'predicted', 'aligned', 'good', 'bad', 'open']) {
      expect(contrast(palette[ink]!, palette.paper!), ink).toBeGreaterThanOrEqual(4.5);
    }
    for (const tone of ['good', 'bad', 'open']) {
      for (const ink of ['ink', 'muted', tone]) {
        expect(
          contrast(palette[ink]!, palette[`${tone}-panel`]!),
          `${ink} on ${tone}`,
        ).toBeGreaterThanOrEqual(4.5);
      }
    }
  });
});

/**
 * The playground's speed: what it loads, how soon it can be used, how many frames a second a drag has, and how fast it
 * trains beside Node on the same drivers.
 *
 *     node build.mjs && node bench/browser.ts [--rounds n] [part …]
 *
 * A part is `visits`, `dragging`, `sizes` or `training`; all without any. Chromium and Node take turns, so many rounds (2); the best round of each counts. Time to first interaction is from the
 * navigation to the first frame with the Start button, the median of 7 first visits on localhost.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import type { Page } from 'playwright-core';
import { writeSafetensors } from '../src/data/safetensors.ts';
import type { DeviceChoice } from '../src/host/device.ts';
import { DiskFolder } from '../src/host/disk.ts';
import { withPage } from '../test/hosts/support/browser.ts';
import { generateScores } from '../test/support/score_generator.ts';
import { ROOT } from '../test/support/shared.ts';
import { SITE } from '../test/web/support/playground.ts';
import { type TrainingRate, trainingRate } from './browser_training.ts';

const VISITS = 7;
const STEPS = 180;
const THREADS = 2;
const DEVICES: readonly DeviceChoice[] = ['webgpu', 'cpu'];

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '2' } },
});
const rounds = Number(given.rounds);

const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(bytes < 1e5 ? 1 : 0)} kB`;

/** Files of the site that a page has asked for, by path. */
async function loadedBy(page: Page, act: () => Promise<unknown>): Promise<Set<string>> {
  const files = new Set<string>();
  const note = (request: { url(): string }) => {
    const { pathname } = new URL(request.url());
    if (pathname !== '/service_worker.js') files.add(pathname === '/' ? 'index.html' : pathname.slice(1));
  };
  // Not what the service worker fetches for later.
  page.on('request', note);
  await act();
  page.off('request', note);
  return files;
}

function say(what: string, files: Iterable<string>): void {
  const sizes = [...files]
    .map((file) => readFileSync(join(SITE, file)))
    .map((bytes) => [bytes.length, gzipSync(bytes).length]);
  const [raw, zipped] = [0, 1].map((i) => sizes.reduce((sum, size) => sum + size[i], 0));
  console.log(`${what.padEnd(44)} ${kilobytes(raw).padStart(10)} ${kilobytes(zipped).padStart(10)} gzip`);
}

async function visits(): Promise<void> {
  const times: number[] = [];
  for (let visit = 0; visit < VISITS; visit++) {
    await withPage(
      { '/': SITE },
      async (page) => {
        await page.context().addInitScript(`globalThis.usable = new Promise((told) => {
        const look = () => document.querySelector('#start') ? requestAnimationFrame(() => told(performance.now())) : requestAnimationFrame(look);
        look();
      })`);
        const address = new URL('/?fresh', page.url()).href.replace('/?', '/index.html?');
        const files = await loadedBy(page, async () => {
          await page.goto(address);
          times.push((await page.evaluate('usable')) as number);
        });
        if (visit === 0)
          say(
            'to the first interaction',
            [...files].map((file) => file.split('?')[0]),
          );
      },
      { isolated: true },
    );
  }
  times.sort((a, b) => a - b);
  console.log(
    `time to first interaction: ${times[VISITS >> 1].toFixed(0)} ms (${times.map((time) => time.toFixed(0)).join(', ')})`,
  );
}

async function sizes(): Promise<void> {
  const scripts = readdirSync(SITE).filter((file) => file.endsWith('.js'));
  say('all scripts', scripts);
  say('scorers’ runtime (ONNX), when answers are scored', ['ort-wasm-simd-threaded.wasm']);
  const demo = readdirSync(join(SITE, 'demo'), { recursive: true, withFileTypes: true });
  say(
    'the demo’s models and prompts',
    demo
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(SITE.length + 1)),
  );
}

async function training(): Promise<void> {
  const site = join(ROOT, '.cache/bench-browser');
  await build({
    absWorkingDir: ROOT,
    entryPoints: { worker: 'bench/browser_worker.ts' },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    outdir: site,
    logLevel: 'error',
  });
  await build({
    absWorkingDir: ROOT,
    stdin: {
      contents: `import * as Comlink from 'comlink';
        globalThis.rate = (device) => Comlink.wrap(new Worker('worker.js', { type: 'module' })).rate(device, ${THREADS});`,
      resolveDir: ROOT,
    },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    outfile: join(site, 'page.js'),
  });
  writeFileSync(join(site, 'index.html'), '<!doctype html><script type="module" src="page.js"></script>');
  const best = new Map<string, TrainingRate>();
  const keep = (key: string, rate: TrainingRate) => {
    if (!(best.get(key) && best.get(key)!.rate >= rate.rate)) best.set(key, rate);
  };
  await withPage(
    { '/': site, '/demo': join(ROOT, 'models/demo') },
    async (page) => {
      for (let round = 0; round < rounds; round++) {
        for (const device of DEVICES) {
          keep(`${device} Chromium`, (await page.evaluate(`rate('${device}')`)) as TrainingRate);
          keep(
            `${device} Node`,
            await trainingRate(new DiskFolder(join(ROOT, 'models/demo/policy')), device, THREADS),
          );
        }
      }
    },
    { isolated: true },
  );
  for (const device of DEVICES) {
    const [chromium, node] = ['Chromium', 'Node'].map((host) => best.get(`${device} ${host}`)!);
    console.log(
      `training, ${device}: Chromium ${chromium.rate.toFixed(0)} tokens/s (${chromium.engine}), ` +
        `Node ${node.rate.toFixed(0)} (${node.engine}), ratio ${(chromium.rate / node.rate).toFixed(2)}`,
    );
  }
}

/** Frames while a threshold is dragged, a step in each. */
async function dragging(): Promise<void> {
  const [prompts, responses] = [1000, 128];
  const { reward, safety } = generateScores(1, prompts, responses, 1);
  const buffer = writeSafetensors([
    ['reward', { shape: [prompts, responses], data: Float32Array.from(reward) }],
    ['safety', { shape: [1, prompts, responses], data: Float32Array.from(safety) }],
  ]);
  await withPage(
    { '/': SITE },
    async (page) => {
      await page.goto(new URL('/index.html?drag#scores', page.url()).href);
      await page.setInputFiles('#scores-file', {
        name: 'scores.safetensors',
        mimeType: '',
        buffer: Buffer.from(buffer),
      });
      await page.waitForSelector('figure svg .band');
      const { seconds, work } = (await page.evaluate(`new Promise((told) => {
        const slider = document.querySelector('input[type=range]');
        const [low, high] = [Number(slider.min), Number(slider.max)];
        const work = [];
        let step = 0;
        const begun = performance.now();
        const move = () => {
          if (step === ${STEPS}) return told({ seconds: (performance.now() - begun) / 1000, work });
          const before = performance.now();
          slider.value = low + ((high - low) * 0.9 * ++step) / ${STEPS};
          slider.dispatchEvent(new Event('input'));
          requestAnimationFrame(() => {
            document.body.offsetHeight;
            work.push(performance.now() - before);
            move();
          });
        };
        requestAnimationFrame(move);
      })`)) as { seconds: number; work: number[] };
      work.sort((a, b) => a - b);
      console.log(
        `dragging, ${prompts} × ${responses}: ${(STEPS / seconds).toFixed(0)} frames/s, from input to laid out ` +
          `${work[STEPS >> 1].toFixed(1)} ms, at most ${work[STEPS - 1].toFixed(1)} ms`,
      );
    },
    { isolated: true },
  );
}

const parts = { visits, dragging, sizes, training };
for (const [name, measure] of Object.entries(parts)) {
  if (positionals.length === 0 || positionals.includes(name)) await measure();
}

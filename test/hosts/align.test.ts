/** One description of a run, of each method: the same files wherever it is carried out. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SampleRow } from '../../src/align/rows.ts';
import { parseSafetensors } from '../../src/data/safetensors.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { ROOT } from '../support/shared.ts';
import { withAlignPage } from './support/align_page.ts';
import { BROWSERS } from './support/browser.ts';
import { denoHost, type Hashes, hasDeno, nodeHost, runCommand } from './support/command_run.ts';

const DEMO = join(ROOT, 'models/demo');
/** Of the prompts, and of each file of preferences. */
const LINES = 6;

const folder = mkdtempSync(join(tmpdir(), 'dualign-page-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The beginning of a file of the demo, as a file of that name. */
function beginning(name: string): string {
  const path = join(folder, name);
  const lines = readFileSync(join(DEMO, name), 'utf8').split('\n').slice(0, LINES);
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

const demo = [
  ...['--policy', join(DEMO, 'policy'), '--prompts', beginning('prompts.jsonl'), '--beta', '1'],
  ...['--responses', '4', '--max-new-tokens', '16', '--lora-r', '2', '--per-device-train-batch-size', '4'],
  ...['--max-steps', '2', '--save-steps', '1', '--learning-rate', '0.01', '--warmup-ratio', '0'],
];
const RUNS = {
  mocan: [
    ...[...demo, '--reward', join(DEMO, 'reward'), '--cost', join(DEMO, 'cost'), '--margin', '0.001'],
    ...['--measure-cost', `${join(DEMO, 'truth.ts')}#hazard`],
  ],
  pecan: [
    ...[...demo, '--helpful', beginning('helpful.jsonl'), '--safe', beginning('safe.jsonl')],
    ...['--margin', '0.2'],
  ],
};
const METHODS = ['mocan', 'pecan'] as const;
type Method = (typeof METHODS)[number];

const driver = await requestDevice().then(
  ({ device, info }) => {
    device.destroy();
    return info.description;
  },
  () => undefined,
);
const devices = driver ? (['cpu', 'webgpu'] as const) : (['cpu'] as const);
/** Where there is no GPU, Chromium has this driver and no other; Firefox has none. */
const onSwiftShader = driver !== undefined && /swiftshader/i.test(driver);
if (!onSwiftShader) {
  console.warn(
    `Leaving out WebGPU on every host: expected the driver SwiftShader, found ${driver ?? 'none'}`,
  );
}

/** A busy machine takes several times the half minute that all of this takes on two quiet cores. */
const SLOW = 300_000;

const outOf = (device: string, method: string, host = 'node') => join(folder, `${device}-${method}-${host}`);

/** Both at once: a software driver leaves a core idle while the host works. */
function onBoth<T>(run: (method: Method) => Promise<T>): Promise<T[]> {
  return Promise.all(METHODS.map(run));
}

describe.each(devices)('a run on %s', (device) => {
  let expected: Hashes[];

  beforeAll(async () => {
    expected = await onBoth((method) =>
      runCommand(nodeHost(), { options: RUNS[method], device, threads: 2, out: outOf(device, method) }),
    );
    for (const hashes of expected) {
      expect(Object.keys(hashes)).toEqual(
        expect.arrayContaining([
          'scores.jsonl',
          'dual.json',
          'pairs.jsonl',
          'adapter/adapter_model.safetensors',
        ]),
      );
    }
  }, SLOW);

  it('is kept back by its constraint', () => {
    for (const method of METHODS) expect(lambdaOf(outOf(device, method))).toBeGreaterThan(0.1);
  });

  const comparable = device === 'cpu' || onSwiftShader;

  it.skipIf(!comparable || !hasDeno)('is the same in Deno as in Node', { timeout: SLOW }, async () => {
    // On the CPU with another number of threads, and killed while training.
    const kills = device === 'cpu' ? ['checkpoint.safetensors'] : [];
    const found = await onBoth((method) =>
      runCommand(denoHost(), { options: RUNS[method], device, kills, out: outOf(device, method, 'deno') }),
    );
    expect(found).toEqual(expected);
  });

  describe.each(BROWSERS)('in $title', ({ browser, path, retry }) => {
    const runs = path !== undefined && (device === 'cpu' || (onSwiftShader && browser === 'chromium'));

    it.skipIf(!runs)('is the same as in Node', { timeout: SLOW, retry }, async () => {
      await withAlignPage(browser, folder, async (align) => {
        for (const [i, method] of METHODS.entries()) {
          const options = RUNS[method];
          const kills = device === 'cpu' ? ['samples.jsonl.partial', 'metrics.jsonl'] : [];
          expect(await align({ options, device, where: 'page', kills })).toEqual(expected[i]);
          if (device !== 'cpu') continue;
          expect(await align({ options, device, where: 'worker' })).toEqual(expected[i]);
        }
      });
    });
  });
});

/** What rounding does over a whole run: docs/engine.md states these. */
const LOGP_TOLERANCE = 1e-4;
const RELATIVE_TOLERANCE = 1e-3;

describe.skipIf(!driver).each(METHODS)('a run of %s on both engines', (method) => {
  it('draws the same texts, and differs by rounding in λ* and in the adapter', () => {
    const [cpu, gpu] = devices.map((device) => outOf(device, method));
    const samples = [cpu, gpu].map((out) => rowsOf<SampleRow>(out, 'samples.jsonl'));
    for (const [i, { response_ids, logp = Number.NaN }] of samples[0].entries()) {
      expect(samples[1][i].response_ids).toEqual(response_ids);
      expect(Math.abs(samples[1][i].logp! - logp)).toBeLessThan(LOGP_TOLERANCE);
    }
    expect(Math.abs(lambdaOf(gpu) / lambdaOf(cpu) - 1)).toBeLessThan(RELATIVE_TOLERANCE);
    const [adapter, other] = [cpu, gpu].map(adapterOf);
    const difference = Math.hypot(...adapter.map((value, i) => value - other[i]));
    expect(difference).toBeGreaterThan(0);
    expect(difference / Math.hypot(...adapter)).toBeLessThan(RELATIVE_TOLERANCE);
  });
});

function rowsOf<T>(out: string, file: string): T[] {
  const lines = readFileSync(join(out, file), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as T);
}

function lambdaOf(out: string): number {
  return (JSON.parse(readFileSync(join(out, 'dual.json'), 'utf8')) as { lambda: number[] }).lambda[0];
}

/** All of an adapter's values. */
function adapterOf(out: string): number[] {
  const file = 'adapter/adapter_model.safetensors';
  const { tensors } = parseSafetensors(readFileSync(join(out, file)), file);
  return [...tensors.values()].flatMap((tensor) => [...tensor.f32()]);
}

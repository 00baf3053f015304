/** PeCAN in the playground, from two files of pairs to the adapter, held against the command in Node. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import { afterAll, expect, test } from 'vitest';
import type { RunConfig } from '../../src/align/config.ts';
import type { Verification } from '../../src/align/verify.ts';
import { sha256 } from '../../src/data/hash.ts';
import type { Manifest } from '../../src/data/run.ts';
import { dualign } from '../cli/command.ts';
import { common, type Hashes, hashesOf } from '../hosts/support/command_run.ts';
import { ROOT } from '../support/shared.ts';
import { canPlay, seriousFindings, until, withPlayground } from './support/playground.ts';

const DEMO = join(ROOT, 'models/demo');
const scratch = mkdtempSync(join(tmpdir(), 'dualign-playground-pecan-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const SETTINGS = {
  responses: 4,
  max_new_tokens: 12,
  num_train_epochs: 1,
  per_device_train_batch_size: 15,
  lora_r: 2,
  save_steps: 3,
  eval_fraction: 0.25,
  seed: 5,
};
const MARGIN = 0.01;

/** The first lines of a file of the demo's, by another name. */
function cut(name: string, lines: number, to: string): string {
  const path = join(scratch, to);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, readFileSync(join(DEMO, name), 'utf8').split('\n').slice(0, lines).join('\n'));
  return path;
}

/** Verifies a run that a page saved, beside its inputs under the names that it has for them. */
async function verifyElsewhere(
  run: Readonly<Record<string, Uint8Array>>,
  files: Readonly<Record<'prompts' | 'helpful' | 'safe', string>>,
): Promise<void> {
  const place = join(scratch, 'elsewhere');
  const put = (path: string, content: Uint8Array) => {
    mkdirSync(join(place, path, '..'), { recursive: true });
    writeFileSync(join(place, path), content);
  };
  for (const [file, bytes] of Object.entries(run)) put(`run/${file}`, bytes);
  const { config, host } = JSON.parse(Buffer.from(run['manifest.json']).toString()) as Manifest;
  const { policy, prompts, reward, constraints } = config as RunConfig;
  cpSync(join(DEMO, 'policy'), join(place, policy!), { recursive: true });
  const named = [prompts!, reward!, constraints[0].scorer];
  for (const [i, file] of [files.prompts, files.helpful, files.safe].entries())
    put(named[i], readFileSync(file));
  const { code, stdout, stderr } = await dualign('node', ['verify', 'run', '--json', '--quiet'], {
    cwd: place,
  });
  expect(code, stderr).toBe(0);
  const { same, stages, original } = JSON.parse(stdout) as Verification;
  expect(host).toMatch(/^Chromium \d+$/);
  expect(original.host).toBe(host);
  expect(same).toBe(true);
  expect(stages.map(({ stage }) => stage)).toEqual(
    expect.arrayContaining(['score', 'label', 'train', 'evaluate']),
  );
}

test.skipIf(!canPlay)('two files of pairs of one name align a model to the bits of the command', async () => {
  const files = {
    prompts: cut('prompts.jsonl', 12, 'prompts.jsonl'),
    helpful: cut('helpful.jsonl', 60, 'helpful/pairs.jsonl'),
    safe: cut('safe.jsonl', 60, 'safe/pairs.jsonl'),
  };
  const out = join(scratch, 'run');
  const { code, stderr } = await dualign('node', [
    ...['--policy', join(DEMO, 'policy'), '--margin', String(MARGIN), '--beta', '1'],
    ...Object.entries({ ...files, ...SETTINGS }).flatMap(([name, value]) => [
      `--${name.replaceAll('_', '-')}`,
      String(value),
    ]),
    ...['--device', 'cpu', '--threads', '2', '--quiet', '--out', out],
  ]);
  expect(code, stderr).toBe(0);
  const expected = await hashesOf(out);
  expect(Object.keys(expected)).toEqual(
    expect.arrayContaining([
      'prealigned/helpful/adapter/adapter_model.safetensors',
      'prealigned/safe-1/adapter/adapter_model.safetensors',
      'dual.json',
      'pairs.jsonl',
      'adapter/adapter_model.safetensors',
    ]),
  );

  await withPlayground('', async (page) => {
    await page.check('input[value=pecan]');
    await page.selectOption('#policy', 'folder');
    await page.setInputFiles('#policy-folder', join(DEMO, 'policy'));
    await until(page, `document.querySelector('#policy').value === 'models/policy'`);
    for (const [kind, path] of Object.entries(files)) {
      await page.setInputFiles(`#file-${kind}`, path);
      const name = path.slice(path.lastIndexOf('/') + 1);
      await until(
        page,
        `document.querySelector('#file-${kind}').parentElement.textContent.includes('now: ${name}')`,
      );
    }
    await page.click('form > details summary');
    for (const [id, value] of Object.entries(SETTINGS)) await page.fill(`#${id}`, String(value));
    await page.selectOption('#device', 'cpu');
    await page.fill('#margin', String(MARGIN));
    expect(await seriousFindings(page)).toEqual([]);
    await page.click('#start');

    await until(page, `document.querySelector('#train')?.disabled === false`);
    await page.click('#train');
    await until(page, `document.querySelector('#came') !== null`);
    expect(await seriousFindings(page)).toEqual([]);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save-run')]);
    const whole = unzipSync(readFileSync(await download.path()));
    const hashes: Hashes = {};
    for (const [file, bytes] of Object.entries(whole)) hashes[file] = await sha256(bytes);
    expect(common(hashes)).toEqual(expected);
    expect(Buffer.from(whole['report.html']).toString()).toContain('<h2 id="training">');
    await verifyElsewhere(whole, files);
  });
});

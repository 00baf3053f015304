import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Verification } from '../../src/align/verify.ts';
import type { Manifest } from '../../src/data/run.ts';
import { hasShared, SHARED } from '../support/shared.ts';
import { dualign, type Host } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-verify-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const prompts = join(folder, 'prompts.txt');
const run = join(folder, 'run');

async function verify(path: string, host: Host = 'node') {
  const { code, stdout, stderr } = await dualign(host, ['verify', path, '--json', '--quiet']);
  return { code, stderr, result: (stdout ? JSON.parse(stdout) : undefined) as Verification };
}

/** A copy of the run whose manifest is changed. */
function altered(name: string, change: (manifest: Manifest) => void): string {
  const path = join(folder, name);
  cpSync(run, path, { recursive: true });
  const file = join(path, 'manifest.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest;
  change(manifest);
  writeFileSync(file, JSON.stringify(manifest));
  return path;
}

describe.skipIf(!hasShared)('dualign verify (needs ../shared)', () => {
  beforeAll(async () => {
    writeFileSync(prompts, 'Once upon a time\nOne day, a dog\nThere was a\nLily had a\n');
    const { code, stderr } = await dualign('node', [
      ...['--device', 'cpu', '--policy', `${SHARED}/models/stories260K`, '--prompts', prompts],
      ...['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`],
      ...['--beta', '1', '--margin', '0.02', '--responses', '4', '--max-new-tokens', '8'],
      ...['--num-train-epochs', '1', '--lora-r', '2', '--out', run, '--quiet'],
    ]);
    expect(code, stderr).toBe(0);
  });

  it.each<Host>(['node', 'deno'])('%s makes every stage again, to the bit', async (host) => {
    const { code, result, stderr } = await verify(run, host);
    expect(code, stderr).toBe(0);
    expect(result.same).toBe(true);
    expect(result.stages.map(({ stage, outcome }) => `${stage} ${outcome}`)).toEqual([
      'collect same',
      'score same',
      'dual same',
      'label same',
      'reference log-probs same',
      'train same',
      'evaluate reference same',
      'evaluate aligned same',
      'evaluate same',
    ]);
    expect(result.repeated.host).toMatch(host);
  });

  it('names the first stage whose result differs and goes no further', async () => {
    const path = altered('other pairs', (manifest) => {
      manifest.stages.label.outputs['pairs.jsonl'] = '0'.repeat(64);
      Object.assign(manifest, { host: 'Chromium 140', dualign: '0.0.1' });
    });
    const { code, result } = await verify(path);
    expect(result.original).toMatchObject({ host: 'Chromium 140', dualign: '0.0.1' });
    expect(result.repeated.host).toMatch(/^node /);
    expect(code).toBe(1);
    expect(result.same).toBe(false);
    expect(result.stages.at(-1)).toEqual({ stage: 'label', outcome: 'differs', names: ['pairs.jsonl'] });
  });

  it('tells inputs that changed from results that differ', async () => {
    const path = altered('other policy', ({ stages }) => {
      Object.assign(stages.collect.settings, { policy: 'another' });
    });
    const { code, result } = await verify(path);
    expect(code).toBe(1);
    expect(result.stages).toEqual([{ stage: 'collect', outcome: 'changed', names: ['policy'] }]);
  });

  it('takes scores that the user gave as they are', async () => {
    const path = join(folder, 'given');
    cpSync(join(run, 'scores.jsonl'), join(path, 'scores.jsonl'));
    const solved = await dualign('node', [
      ...['dual', '--out', path, '--beta', '1', '--margin', '0.02', '--quiet'],
    ]);
    expect(solved.code).toBe(2);
    const config = JSON.parse(readFileSync(join(run, 'manifest.json'), 'utf8')).config;
    writeFileSync(
      join(path, 'manifest.json'),
      JSON.stringify({ dualign: '', host: '', config, stages: {}, results: {} }),
    );
    expect((await dualign('node', ['dual', '--out', path, '--quiet'])).code).toBe(0);
    const { code, result, stderr } = await verify(path);
    expect(code, stderr).toBe(0);
    expect(result.stages).toEqual([{ stage: 'dual', outcome: 'same', names: [] }]);
  });

  it('asks for a run folder', async () => {
    const { code, stderr } = await verify(folder);
    expect(code).toBe(2);
    expect(stderr).toContain('expected a run folder with manifest.json, found none');
  });
});

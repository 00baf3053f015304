/** Runs in folders that cannot be written to, or have no more room: what they say, leave behind, and make of it later. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../support/shared.ts';
import { dualign } from './command.ts';

const DEMO = join(ROOT, 'models/demo');
const folder = mkdtempSync(join(tmpdir(), 'dualign-disk-'));
const disk = join(folder, 'disk');

/** Makes a disk of its own, or gives it another size: that takes root on Linux. */
function sizeDisk(size: string, ...how: string[]): boolean {
  mkdirSync(disk, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', [...how, `size=${size}`].join(), 'tmpfs', disk], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    console.warn('Leaving out the tests of a full disk: it takes root on Linux to make one.');
    return false;
  }
}

const isMounted = sizeDisk('64m');

afterAll(() => {
  if (isMounted) execFileSync('umount', ['--lazy', disk]);
  rmSync(folder, { recursive: true, force: true });
});

const argumentsFor = (out: string) => [
  ...['align', '--policy', join(DEMO, 'policy'), '--prompts', join(DEMO, 'prompts.jsonl')],
  ...['--reward', join(DEMO, 'reward'), '--cost', join(DEMO, 'cost'), '--margin', '0.1', '--beta', '1'],
  ...['--responses', '3', '--max-new-tokens', '16', '--num-train-epochs', '1', '--save-steps', '3'],
  ...['--eval-fraction', '0.1', '--lora-r', '2', '--device', 'cpu', '--quiet', '--out', out],
];

it.each(['node', 'deno'] as const)(
  'a file in the place of the folder is told in one line in %s',
  async (host) => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const { code, stderr } = await dualign(host, argumentsFor(file));
    expect(stderr.trim().split('\n').at(-1)).toBe(
      `dualign: ${file}/samples.jsonl: could not be written (what should be a folder is a file; choose another folder)`,
    );
    expect(code).toBe(2);
  },
);

it.runIf(process.platform === 'linux').each(['node', 'deno'] as const)(
  'a folder that nobody can make is told in one line in %s',
  async (host) => {
    const { code, stderr } = await dualign(host, argumentsFor('/proc/none/run'));
    expect(stderr.trim().split('\n').at(-1)).toBe(
      'dualign: /proc/none/run/manifest.json: could not be written (no folder can be made there; choose another)',
    );
    expect(code).toBe(2);
  },
);

describe.skipIf(!isMounted)('a run on a full disk', () => {
  it.each(['node', 'deno'] as const)(
    'says so in %s, and goes on to the same bits when there is room',
    async (host) => {
      sizeDisk('64m', 'remount');
      const whole = join(disk, 'whole');
      const first = await dualign('node', argumentsFor(whole));
      expect(first.code, first.stderr).toBe(0);
      const files = ['scores.jsonl', 'pairs.jsonl', 'adapter/adapter_model.safetensors', 'evaluation.json'];
      const expected = files.map((file) => readFileSync(join(whole, file)));
      rmSync(whole, { recursive: true });

      const out = join(disk, 'run');
      // Too small for the responses, for their scores, for a checkpoint.
      for (const size of ['40k', '120k', '400k']) {
        sizeDisk(size, 'remount');
        const { code, stderr } = await dualign(host, argumentsFor(out));
        expect(stderr.trim().split('\n').at(-1)).toMatch(
          /^dualign: .*: could not be written \(the disk is full; make room, or choose a folder on another disk\)$/,
        );
        expect(code).toBe(2);
        const left = readdirSync(out, { recursive: true, encoding: 'utf8' });
        expect(left.filter((file) => file.endsWith('.writing'))).toEqual([]);
      }
      sizeDisk('64m', 'remount');
      const last = await dualign(host, argumentsFor(out));
      expect(last.code, last.stderr).toBe(0);
      expect(files.map((file) => readFileSync(join(out, file)))).toEqual(expected);
      rmSync(out, { recursive: true });
    },
  );
});

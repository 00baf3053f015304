/** The GPU device goes away while a command works: one line, nothing half-written, and the same files when it is run again. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { noGpu } from '../engine/support.ts';
import { hasShared, ROOT, SHARED } from '../support/shared.ts';
import { dualign } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-lost-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, rows: readonly object[]) => {
  writeFileSync(join(folder, name), rows.map((row) => JSON.stringify(row)).join('\n'));
  return join(folder, name);
};
const words = ['She saw a ball', 'He ran home', 'The dog was sad', 'They had a cake'];
const examples = file(
  'examples.jsonl',
  words.map((prompt, i) => ({ prompt, completion: ` and ${words[3 - i]}` })),
);
const prompts = file(
  'prompts.jsonl',
  words.map((prompt) => ({ prompt })),
);
const SCORERS = [
  ...['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`],
];
const QUICK = ['--lora-r', '2', '--max-steps', '4', '--save-steps', '1', '--max-new-tokens', '8'];

describe.skipIf(noGpu || !hasShared)('a command whose device is lost', () => {
  it.each([
    [
      'sft',
      'checkpoint.safetensors',
      ['--dataset', examples, '--lora-r', '2', '--max-steps', '4', '--save-steps', '1'],
    ],
    [
      'grpo',
      'checkpoint.safetensors',
      ['--prompts', prompts, ...SCORERS, '--lambda', '0.5', ...QUICK, '--num-generations', '4'],
    ],
    [
      'collect',
      'samples.jsonl.partial',
      ['--prompts', prompts, '--responses', '4', '--generation-batch-size', '4', '--max-new-tokens', '8'],
    ],
  ])('%s goes on from %s', async (name, written, more) => {
    const args = [name, '--policy', `${SHARED}/models/stories260K`, '--device', 'webgpu', ...more];
    const out = join(folder, name);
    const hook = join(ROOT, 'test/cli/lose_device_when.mjs');
    const env = { LOSE_WHEN: written, NODE_OPTIONS: `--import ${hook}` };
    const lost = await dualign('node', [...args, '--out', out], { env });
    expect(lost.code).toBe(1);
    expect(lost.stderr.trim().split('\n').at(-1)).toMatch(
      /^dualign: The GPU device was lost \(.+\)\. Try the same again: on a new device, it goes on from the last checkpoint\./,
    );
    const left = readdirSync(out, { recursive: true, encoding: 'utf8' });
    expect(left).toContain(written);
    expect(left.filter((path) => path.endsWith('.writing'))).toEqual([]);
    const again = await dualign('node', [...args, '--out', out]);
    expect(again.code, again.stderr).toBe(0);
    const whole = join(folder, `${name}-whole`);
    expect((await dualign('node', [...args, '--out', whole])).code).toBe(0);
    const made = readdirSync(whole, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== 'manifest.json')
      .map(({ parentPath, name: base }) => join(parentPath, base).slice(whole.length));
    expect(made.length).toBeGreaterThan(0);
    for (const path of made) {
      expect(readFileSync(join(out, path)).equals(readFileSync(join(whole, path))), path).toBe(true);
    }
  });
});

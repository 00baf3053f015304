import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hasShared, SHARED } from '../support/shared.ts';
import { dualign } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-dtype-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(!hasShared)('dualign align --dtype', () => {
  const prompts = join(folder, 'prompts.jsonl');

  async function align(dtype: string, out: string) {
    const lines = readFileSync(`${SHARED}/data/story-prompts.jsonl`, 'utf8').split('\n');
    writeFileSync(prompts, lines.slice(0, 4).join('\n'));
    const { code, stderr } = await dualign('node', [
      ...['--device', 'cpu', '--dtype', dtype, '--out', join(folder, out)],
      ...['--policy', `${SHARED}/models/stories260K`, '--prompts', prompts, '--eval-fraction', '0.5'],
      ...['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`],
      ...['--beta', '1', '--margin', '0.02', '--responses', '4', '--max-new-tokens', '8', '--lora-r', '2'],
      ...['--num-train-epochs', '1', '--save-steps', '2'],
    ]);
    expect(code, stderr).toBe(0);
    return JSON.parse(readFileSync(join(folder, out, 'manifest.json'), 'utf8'));
  }

  it('runs on weights in 4 bits, twice alike, as another policy than the one of its files', async () => {
    const first = await align('nf4', 'first');
    const again = await align('nf4', 'again');
    expect(first.config.dtype).toBe('nf4');
    expect(again.results).toEqual(first.results);
    const exact = await align('float32', 'exact');
    expect(exact.results).not.toEqual(first.results);
    expect(exact.stages.collect.settings.policy).not.toBe(first.stages.collect.settings.policy);
  });

  it('refuses a name it does not know', async () => {
    const { code, stderr } = await dualign('node', ['--dtype', 'int8', '--out', join(folder, 'none')]);
    expect(code).toBe(2);
    expect(stderr).toContain(
      '--dtype: expected ("auto" | "float32" | "float16" | "bfloat16" | "nf4"), got "int8"',
    );
  });
});

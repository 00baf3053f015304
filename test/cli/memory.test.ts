/** A run that is allowed little memory: planned before it loads anything, made to fit, and repeated as it was made. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hasShared, SHARED } from '../support/shared.ts';
import { dualign } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-memory-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function argumentsFor(out: string, ...more: string[]): string[] {
  const prompts = join(folder, 'prompts.jsonl');
  const lines = readFileSync(`${SHARED}/data/story-prompts.jsonl`, 'utf8').split('\n');
  writeFileSync(prompts, lines.slice(0, 6).join('\n'));
  return [
    ...['align', '--device', 'cpu', '--threads', '1', '--dtype', 'float32'],
    ...['--policy', `${SHARED}/models/stories260K`, '--prompts', prompts, '--eval-fraction', '0.34'],
    ...['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`],
    ...['--beta', '1', '--margin', '0.05', '--responses', '6', '--max-new-tokens', '16'],
    ...['--num-train-epochs', '1', '--lora-r', '2', '--out', join(folder, out), ...more],
  ];
}

describe.skipIf(!hasShared)('dualign align --memory', () => {
  it('says what it will hold before it loads, takes smaller batches, and is verified with the same ones', async () => {
    const out = join(folder, 'small');
    const { code, stderr } = await dualign('node', argumentsFor('small', '--memory', '0.009'));
    expect(code, stderr).toBe(0);
    const plan = stderr.indexOf('memory: 2 MiB of weights (f32); sampling ');
    expect(plan).toBeGreaterThanOrEqual(0);
    expect(plan).toBeLessThan(stderr.indexOf('collect'));
    expect(stderr).toMatch(/blocks computed again in the backward pass \d+ MiB; of 10 MiB\n/);
    expect(stderr).toMatch(
      /memory: room to train on (\d+) pairs at once, not 150: a step takes \d+ batches\n/,
    );
    const { stages } = JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8'));
    const { per_device_train_batch_size: size, gradient_accumulation_steps: batches } = stages.train.settings;
    expect(size).toBeLessThan(150);
    expect(size * batches).toBe(150);

    const again = await dualign('node', argumentsFor('small'));
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain('train (done before)');
    const verified = await dualign('node', ['verify', out]);
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);
    expect(verified.stdout).toContain('The same bits in every stage.');
  });

  it('refuses what cannot fit before anything is made', async () => {
    const { code, stderr } = await dualign(
      'node',
      argumentsFor('none', '--memory', '0.005', '--max-new-tokens', '400'),
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /memory: with one response at a time, (sampling|training) takes \d+ MiB, more than 5 MiB; use --dtype bfloat16 or nf4, or /,
    );
    expect(existsSync(join(folder, 'none/samples.jsonl'))).toBe(false);
    expect(existsSync(join(folder, 'none/manifest.json'))).toBe(false);
    const wrong = await dualign('node', argumentsFor('none', '--memory', 'much'));
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('expected a number');
  });
});

describe.skipIf(!hasShared)('dualign grpo --memory', () => {
  it('learns from as many completions in smaller batches, and is verified with the same ones', async () => {
    const out = join(folder, 'grpo');
    const prompts = join(folder, 'prompts.jsonl');
    const lines = readFileSync(`${SHARED}/data/story-prompts.jsonl`, 'utf8').split('\n');
    writeFileSync(prompts, lines.slice(0, 6).join('\n'));
    const args = [
      ...['grpo', '--device', 'cpu', '--threads', '1', '--policy', `${SHARED}/models/stories260K`],
      ...['--prompts', prompts, '--reward', `${SHARED}/models/stories-reward`, '--max-new-tokens', '16'],
      ...[
        '--num-generations',
        '8',
        '--per-device-train-batch-size',
        '32',
        '--max-steps',
        '2',
        '--lora-r',
        '2',
      ],
      ...['--out', out],
    ];
    const { code, stderr } = await dualign('node', [...args, '--memory', '0.008']);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(
      /memory: room to train on \d+ completions at once, not 32: a step takes \d+ batches\n/,
    );
    const { stages } = JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8'));
    const { per_device_train_batch_size: size, gradient_accumulation_steps: batches } = stages.grpo.settings;
    expect(size).toBeLessThan(32);
    expect(size * batches).toBe(32);
    const again = await dualign('node', args);
    expect(again.stderr).toContain('grpo (done before)');
    const verified = await dualign('node', ['verify', out]);
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);
    // What is made anew is fitted anew.
    const changed = ['--memory', '0.008', '--learning-rate', '0.002', '--redo'];
    const redone = await dualign('node', [...args, ...changed]);
    expect(redone.code, redone.stderr).toBe(0);
    expect(redone.stderr).toMatch(/memory: room to train on \d+ completions at once, not 32/);
  });
});

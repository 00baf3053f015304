/** A run that is allowed little memory: planned before it loads anything, made to fit, and repeated as it was made. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { noGpu } from '../engine/support.ts';
import { hasShared, ROOT, SHARED } from '../support/shared.ts';
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

/** Runs a command; its code, what it told and the most bytes that its engine came to hold. */
async function measured(args: readonly string[]) {
  const file = join(folder, 'peak');
  const hook = join(ROOT, 'test/cli/engine_peak.mjs');
  const env = { ENGINE_PEAK: file, NODE_OPTIONS: `--import ${hook}` };
  const { code, stderr } = await dualign('node', args, { env });
  return { code, stderr, peak: Number(readFileSync(file, 'utf8')) };
}

const words = (first: number, count: number) =>
  Array.from(
    { length: count },
    (_, i) => ['She', 'saw', 'a', 'big', 'red', 'ball', 'and'][(first + i * i) % 7],
  ).join(' ');

function writeRows(name: string, rows: readonly object[]): string {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  return path;
}

/** Of lengths that differ, so that no batch is as large as the next; the longest is held out by some seeds. */
function dataFiles() {
  const rows = Array.from({ length: 24 }, (_, i) => i);
  return {
    examples: writeRows(
      'examples.jsonl',
      rows.map((i) => ({ prompt: words(i, 5), completion: words(i + 1, 4 + 2 * i) })),
    ),
    pairs: writeRows(
      'pairs.jsonl',
      rows.map((i) => ({
        prompt: words(i, 5),
        chosen: words(i + 1, 4 + 2 * i),
        rejected: words(i + 2, 50 - 2 * i),
      })),
    ),
    prompts: writeRows(
      'few.jsonl',
      rows.slice(0, 8).map((i) => ({ prompt: words(i, 3 + 3 * i) })),
    ),
  };
}

const devices = noGpu ? ['cpu'] : ['cpu', 'webgpu'];
const POLICY = ['--policy', `${SHARED}/models/stories260K`];
const QUICK = ['--max-steps', '2', '--lora-r', '2'];

describe.skipIf(!hasShared).each(devices)('every command keeps within --memory on %s', (device) => {
  const commands: [string, number, string[]][] = [
    ['sft', 8, ['--max-steps', '2', '--full', '--save-steps', '1', '--eval-fraction', '0.3']],
    ['dpo', 9, [...QUICK, '--eval-fraction', '0.3', '--lora-dropout', '0.1']],
    ['reward', 7, [...QUICK, '--eval-fraction', '0.3']],
    [
      'grpo',
      8,
      [...QUICK, '--num-generations', '4', '--max-new-tokens', '24', '--repetition-penalty', '1.1'],
    ],
    ['collect', 7, ['--responses', '16', '--max-new-tokens', '24', '--repetition-penalty', '1.1']],
  ];
  // A software driver takes its time.
  const tried =
    device === 'cpu' ? commands : commands.filter(([name]) => name !== 'dpo' && name !== 'reward');
  it.each(tried)('%s in %i MiB', async (name, mebibytes, more) => {
    const { examples, pairs, prompts } = dataFiles();
    const data: Record<string, string[]> = {
      sft: ['--dataset', examples],
      dpo: ['--preferences', pairs],
      reward: ['--preferences', pairs],
      grpo: ['--prompts', prompts, '--reward', `${SHARED}/models/stories-reward`],
      collect: ['--prompts', prompts, '--eval-fraction', '0.13'],
    };
    const out = ['--out', join(folder, `${name}-${device}`)];
    const memory = ['--memory', String(mebibytes / 1024)];
    const args = [name, ...POLICY, ...data[name], ...more, ...out, ...memory];
    const { code, stderr, peak } = await measured([...args, '--device', device, '--threads', '2']);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/ \d+ MiB/);
    // It would have taken more.
    expect(stderr).toMatch(/^memory: room to (train on|sample) \d+ .*at once, not \d+/m);
    expect(peak).toBeGreaterThan(2 ** 20);
    expect(peak).toBeLessThanOrEqual(mebibytes * 2 ** 20);
  });

  it('generate', async () => {
    const prompt = ['--prompt', words(1, 20), '--responses', '64', '--max-new-tokens', '24'];
    const args = ['generate', ...POLICY, ...prompt, '--device', device, '--memory', String(6 / 1024)];
    const { code, stderr, peak } = await measured(args);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^memory: room to sample \d+ at once, not 64\nmemory: \d+ at once, \d MiB\n/);
    expect(peak).toBeLessThanOrEqual(6 * 2 ** 20);
  });
});

describe.skipIf(!hasShared)('what does not fit is refused before a weight is loaded', () => {
  it.each(['dpo', 'sft', 'grpo', 'collect', 'generate'])('by %s', async (name) => {
    const { examples, pairs, prompts } = dataFiles();
    const data: Record<string, string[]> = {
      sft: ['--dataset', examples],
      dpo: ['--preferences', pairs],
      grpo: ['--prompts', prompts, '--reward', `${SHARED}/models/stories-reward`, '--max-new-tokens', '300'],
      collect: ['--prompts', prompts, '--max-new-tokens', '300'],
      generate: ['--prompt', 'She', '--max-new-tokens', '500'],
    };
    const out = name === 'generate' ? [] : ['--out', join(folder, `none-${name}`)];
    const args = [name, ...POLICY, ...data[name], ...out, '--device', 'cpu', '--memory', String(2.7 / 1024)];
    const { code, stderr, peak } = await measured(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^dualign: .* takes? \d+ MiB.*, more than .*; (use|allow) .*allow more with --memory|^dualign: .*; allow more with --memory/m,
    );
    expect(peak).toBe(0);
  });
});

describe('dualign plan-memory', () => {
  it('plans for what config.json says the files hold, and float32 where that fits', async () => {
    const model = join(folder, 'llama-1b');
    mkdirSync(model);
    const shape = {
      hidden_size: 2048,
      intermediate_size: 8192,
      num_attention_heads: 32,
      num_key_value_heads: 8,
    };
    const sizes = { vocab_size: 128_256, max_position_embeddings: 8192, tie_word_embeddings: true };
    const planned = async (layers: number, ...more: string[]) => {
      const kind = { model_type: 'llama', num_hidden_layers: layers, torch_dtype: 'bfloat16' };
      writeFileSync(join(model, 'config.json'), JSON.stringify({ ...kind, ...shape, ...sizes }));
      return await dualign('node', ['plan-memory', '--policy', model, '--device', 'cpu', ...more]);
    };
    // 1236e6 weights, 506e6 with 4 layers, and 2 MiB of rotary embedding.
    const whole = await planned(16);
    expect(whole.code, whole.stderr).toBe(0);
    expect(whole.stdout).toMatch(/^weights \(bf16\) +2359\.3 MiB$/m);
    expect((await planned(4)).stdout).toMatch(/^weights \(f32\) +1932\.1 MiB$/m);
    for (const options of [['--dtype', 'float32'], ['--full']]) {
      const refused = await planned(16, ...options);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain('its weights take 4.60 GiB in float32');
    }
  });
});

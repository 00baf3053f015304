import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from '../../src/data/hash.ts';
import { hasShared, SHARED } from '../support/shared.ts';
import { dualign } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-on-policy-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const prompts = join(folder, 'prompts.jsonl');
const POLICY = ['--device', 'cpu', '--policy', `${SHARED}/models/stories260K`, '--prompts', prompts];
const SCORERS = ['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`];
const DRAWING = ['--max-new-tokens', '8', '--num-generations', '4', '--lora-r', '2'];

/** Training on its own: two prompts of four completions a step, learned from twice; checkpoints after steps 4 and 8. */
function alone(trainer: string, out: string, ...more: string[]): string[] {
  return [
    ...[trainer, ...POLICY, ...SCORERS, ...DRAWING, '--lambda', '0.5', '--beta', '0.1'],
    ...[
      '--per-device-train-batch-size',
      '8',
      '--num-iterations',
      '2',
      '--max-steps',
      '10',
      '--save-steps',
      '3',
    ],
    ...['--out', join(folder, out), ...more],
  ];
}

function metricsOf(out: string): Record<string, number>[] {
  const text = readFileSync(join(folder, out, 'metrics.jsonl'), 'utf8').trim();
  return text.split('\n').map((line) => JSON.parse(line));
}

async function hashes(out: string): Promise<Record<string, string>> {
  const entries = readdirSync(join(folder, out), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const pairs = files.map(async (file) => [
    file.slice(join(folder, out).length + 1),
    await sha256(readFileSync(file)),
  ]);
  const all: Record<string, string> = Object.fromEntries(await Promise.all(pairs));
  // It names the host.
  delete all['manifest.json'];
  return all;
}

beforeAll(() => {
  if (!hasShared) return;
  const lines = readFileSync(`${SHARED}/data/story-prompts.jsonl`, 'utf8').split('\n');
  writeFileSync(prompts, lines.slice(0, 6).join('\n'));
});

const ADAPTER = ['adapter/adapter_config.json', 'adapter/adapter_model.safetensors'];
const WEIGHTS = ['model/config.json', 'model/model.safetensors', 'model/tokenizer.json'];

describe.skipIf(!hasShared).each([
  ['grpo', 'grpo', [], ADAPTER],
  ['rloo', 'rloo', [], ADAPTER],
  ['rloo --full', 'rloo', ['--full', '--learning-rate', '1e-4'], WEIGHTS],
])('dualign %s on a real model', (name, trainer, more, product) => {
  let whole: Record<string, string>;

  it('trains on r + λᵀg and logs it in TRL’s names', async () => {
    const { code, stdout, stderr } = await dualign('node', alone(trainer, name, ...more, '--json'));
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      steps: 10,
      status: 'done',
      settings: { trainer, lambda: [0.5] },
    });
    whole = await hashes(name);
    expect(Object.keys(whole)).toEqual(expect.arrayContaining([...product, 'metrics.jsonl']));
    expect(Object.keys(whole).some((file) => file.startsWith('adapter/'))).toBe(product === ADAPTER);
    const metrics = metricsOf(name);
    expect(metrics.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for (const row of metrics) {
      expect(row.reward).toBeCloseTo(row['rewards/reward/mean'] + 0.5 * row['rewards/safety_1/mean'], 10);
      expect(row['completions/max_length']).toBeLessThanOrEqual(8);
    }
    expect(metrics[0]).toMatchObject({ 'clip_ratio/region_mean': 0, frac_reward_zero_std: 0 });
    expect(metrics[0].kl).toBeCloseTo(0, 5);
    expect(Math.abs(metrics[9].kl)).toBeGreaterThan(1e-5);
  });

  it('killed, goes on in Deno to the same files', async () => {
    const out = `${name} killed`;
    const killed = await dualign('node', alone(trainer, out, ...more), {
      killWhen: 'checkpoint.safetensors',
    });
    expect(killed.code, killed.stderr).toBe(null);
    const again = alone(trainer, out, ...more, '--generation-batch-size', '3');
    const { code, stderr } = await dualign('deno', again);
    expect(code, stderr).toBe(0);
    expect(await hashes(out)).toEqual(whole);
  });

  it('leaves what generate talks with, and verify repeats', async () => {
    const model = product === WEIGHTS ? [join(folder, name, 'model')] : [`${SHARED}/models/stories260K`];
    const adapter = product === WEIGHTS ? [] : ['--adapter', join(folder, name, 'adapter')];
    const talk = ['generate', '--device', 'cpu', '--policy', ...model, ...adapter, '--prompt', 'Once upon a'];
    const spoken = await dualign('node', [...talk, '--max-new-tokens', '8']);
    expect(spoken.code, spoken.stderr).toBe(0);
    expect(spoken.stdout.trim().length).toBeGreaterThan(3);
    const verified = await dualign('deno', ['verify', join(folder, name), '--quiet']);
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);
  });
});

describe.skipIf(!hasShared)('dualign align --trainer grpo', () => {
  it('solves for λ* and trains on r + λ*ᵀg in place of pairs; verify repeats it', async () => {
    const out = join(folder, 'align');
    const args = [
      ...[...POLICY, ...SCORERS, ...DRAWING, '--eval-fraction', '0.34', '--beta', '1', '--margin', '0.05'],
      ...['--trainer', 'grpo', '--responses', '6', '--num-train-epochs', '2', '--out', out],
    ];
    const { code, stdout, stderr } = await dualign('node', args);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('report.html');
    const read = (file: string) => readFileSync(join(out, file), 'utf8');
    const { lambda } = JSON.parse(read('dual.json'));
    const { stages, results } = JSON.parse(read('manifest.json'));
    expect(stages.train.settings).toMatchObject({ trainer: 'grpo', lambda, beta: 1, loss_type: 'dapo' });
    expect(stages.label).toBeUndefined();
    expect(Object.keys(results)).toEqual(['lambda', 'adapter']);
    // All four prompts in every step.
    expect(metricsOf('align')).toHaveLength(2);
    const report = read('report.html');
    for (const title of ['Objective', 'Safety', 'KL']) expect(report).toContain(`<strong>${title}</strong>`);
    const verified = await dualign('node', ['verify', out, '--json', '--quiet']);
    expect(verified.code, verified.stderr + verified.stdout).toBe(0);
    expect(JSON.parse(verified.stdout).stages.map(({ stage }: { stage: string }) => stage)).toContain(
      'train',
    );
  });
});

describe.skipIf(!hasShared)('policy gradients refuse', () => {
  it.each<[string, string[], RegExp]>([
    ['a λ too many', alone('grpo', 'bad', '--lambda', '1'), /one --lambda for each .* got 2 for 1/],
    [
      'a negative λ',
      alone('rloo', 'bad').map((arg) => (arg === '0.5' ? '-1' : arg)),
      /--lambda: expected >=0, got -1/,
    ],
    [
      'a loss of pairs',
      alone('grpo', 'bad', '--loss-type', 'ipo'),
      /--loss-type: expected one of dapo, grpo, bnpo, dr_grpo for grpo, got ipo/,
    ],
    [
      'a loss that is not there',
      alone('grpo', 'bad', '--loss-type', 'cispo'),
      /--loss-type: expected .*"dapo".*got "cispo"/,
    ],
    [
      'weights to be saved in four bits',
      alone('rloo', 'bad', '--full', '--dtype', 'nf4'),
      /rloo: expected --dtype auto or float32, to save the trained weights, got nf4/,
    ],
    ['new weights under an adapter', alone('grpo', 'bad', '--from-scratch'), /give --full with it/],
    [
      'half a group',
      alone('rloo', 'bad', '--num-generations', '5'),
      /multiple of num_generations 5, got 8 · 1/,
    ],
    [
      'more prompts a step than there are',
      alone('grpo', 'bad', '--per-device-train-batch-size', '64'),
      /at least 16 prompts.*got 6/,
    ],
    [
      'what only pairs have',
      alone('grpo', 'bad', '--label-smoothing', '0.1'),
      /grpo: expected settings that it has, got --label-smoothing 0.1/,
    ],
    [
      'a range of one number',
      alone('rloo', 'bad', '--reward-clip-range', '3'),
      /expected two numbers, lowest,highest/,
    ],
  ])('%s', async (_, args, message) => {
    const { code, stderr } = await dualign('node', args);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(2);
    expect(readdirSync(folder)).not.toContain('bad');
  });
});

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from '../../src/data/hash.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { hasShared, SHARED } from '../support/shared.ts';
import { dualign, type Host } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-align-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const prompts = join(folder, 'prompts.jsonl');

/** The devices there are; without a WebGPU driver, the CPU alone. */
const devices = await requestDevice().then(
  ({ device }) => {
    device.destroy();
    return ['cpu', 'webgpu'];
  },
  () => ['cpu'],
);

const KILLS: [string, Host, string[]][] = [
  ['while sampling and while scoring', 'node', ['samples.jsonl.partial', 'scores.jsonl.partial']],
  ['before and while evaluating', 'deno', ['metrics.jsonl', 'evaluation/aligned_samples.jsonl.partial']],
];

describe.skipIf(!hasShared).each(devices)('dualign align on a real model, %s', (device) => {
  /** A whole run, small enough for a test: 6 prompts, 2 of them held out. */
  function argumentsFor(out: string): string[] {
    return [
      ...['--device', device],
      ...['--policy', `${SHARED}/models/stories260K`, '--prompts', prompts, '--eval-fraction', '0.34'],
      ...['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`],
      ...['--beta', '1', '--margin', '0.05', '--responses', '6', '--max-new-tokens', '10'],
      ...['--generation-batch-size', '12', '--num-train-epochs', '2', '--per-device-train-batch-size', '3'],
      ...['--save-steps', '2', '--lora-r', '2', '--out', join(folder, device, out)],
    ];
  }

  /** Every file of a run folder and its sha-256. */
  async function hashes(out: string): Promise<Record<string, string>> {
    const root = join(folder, device, out);
    const entries = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    const files = entries.map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)).sort();
    const pairs = files.map(async (file) => [file, await sha256(readFileSync(join(root, file)))] as const);
    return Object.fromEntries(await Promise.all(pairs));
  }

  let whole: Record<string, string>;

  beforeAll(async () => {
    const lines = readFileSync(`${SHARED}/data/story-prompts.jsonl`, 'utf8').split('\n');
    writeFileSync(prompts, lines.slice(0, 6).join('\n'));
    const { code, stdout, stderr } = await dualign('node', argumentsFor('whole'));
    expect(stderr).toContain('train: ');
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('report.html');
    whole = await hashes('whole');
  });

  it('leaves all artefacts and nothing half-written', () => {
    expect(Object.keys(whole)).toEqual([
      'adapter/adapter_config.json',
      'adapter/adapter_model.safetensors',
      'dual.json',
      'evaluation.json',
      'evaluation/aligned.jsonl',
      'evaluation/reference.jsonl',
      'manifest.json',
      'metrics.jsonl',
      'pairs.jsonl',
      'reference_logps.safetensors',
      'report.html',
      'samples.jsonl',
      'scores.jsonl',
    ]);
    const manifest = JSON.parse(readFileSync(join(folder, device, 'whole/manifest.json'), 'utf8'));
    expect(manifest.config).toMatchObject({ beta: 1, seed: 0, limits: [{ kind: 'margin', value: 0.05 }] });
    expect(manifest.device.engine).toBe(device);
    expect(manifest.stages.collect.settings.policy).toMatch(/^[0-9a-f]{64}$/);
    expect(manifest.results.pairs).toBe(whole['pairs.jsonl']);
    expect(manifest.results.adapter).toBe(whole['adapter/adapter_model.safetensors']);
    const dual = JSON.parse(readFileSync(join(folder, device, 'whole/dual.json'), 'utf8'));
    expect(dual).toMatchObject({ status: 'optimal', prompts: 4, responses: 6 });
    expect(dual.margins[0]).toBeCloseTo(0.05, 12);
    const first = JSON.parse(readFileSync(join(folder, device, 'whole/pairs.jsonl'), 'utf8').split('\n')[0]);
    expect(first.prompt).toMatch(/^Once upon a time/);
    expect(first.chosen).not.toBe(first.rejected);
    const metrics = readFileSync(join(folder, device, 'whole/metrics.jsonl'), 'utf8')
      .trim()
      .split('\n');
    expect(Object.keys(JSON.parse(metrics[0]))).toEqual(
      expect.arrayContaining(['loss', 'grad_norm', 'learning_rate', 'rewards/margins', 'rewards/accuracies']),
    );
  });

  it('gives the same bits in Deno as in Node', async () => {
    const { code, stderr } = await dualign('deno', [...argumentsFor('deno'), '--quiet']);
    expect(code, stderr).toBe(0);
    const deno = await hashes('deno');
    // These two name the host they were made on.
    const own = ['manifest.json', 'report.html'];
    const common = (files: Record<string, string>) =>
      Object.fromEntries(Object.entries(files).filter(([file]) => !own.includes(file)));
    expect(common(deno)).toEqual(common(whole));
    const results = (out: string) =>
      JSON.parse(readFileSync(join(folder, device, out, 'manifest.json'), 'utf8')).results;
    expect(results('deno')).toEqual(results('whole'));
  });

  it.each<[string, Host, string[]]>([
    ['while training', 'node', ['checkpoint.safetensors']],
    // What follows asks nothing more of a device, and software drivers are slow.
    ...(device === 'cpu' ? KILLS : []),
  ])('killed %s, the same command ends with the same files', async (name, host, files) => {
    const out = `killed ${name}`;
    for (const file of files) {
      const { code, stderr } = await dualign('node', argumentsFor(out), { killWhen: file });
      expect(code, stderr).toBe(null);
    }
    const { code, stderr } = await dualign(host, argumentsFor(out));
    expect(code, stderr).toBe(0);
    const resumed = await hashes(out);
    if (host === 'deno') {
      for (const file of ['manifest.json', 'report.html']) delete resumed[file];
      expect(whole).toMatchObject(resumed);
    } else {
      expect(resumed).toEqual(whole);
    }
  });

  it.skipIf(device !== 'cpu')(
    'runs stage by stage to the same result, settings kept in the run folder',
    async () => {
      const [policy, scorers] = [`${SHARED}/models/stories260K`, `${SHARED}/models`];
      const out = ['--out', join(folder, device, 'stages'), '--quiet'];
      const stages: string[][] = [
        [
          'collect',
          '--device',
          device,
          '--policy',
          policy,
          '--prompts',
          prompts,
          '--eval-fraction',
          '0.34',
          '--responses',
          '6',
        ],
        ['score', '--reward', `${scorers}/stories-reward`, '--cost', `${scorers}/stories-cost`],
        ['dual', '--beta', '1', '--margin', '0.05'],
        ['label'],
        [
          'train',
          '--num-train-epochs',
          '2',
          '--per-device-train-batch-size',
          '3',
          '--save-steps',
          '2',
          '--lora-r',
          '2',
        ],
        ['evaluate'],
        ['report'],
      ];
      stages[0].push('--max-new-tokens', '10', '--generation-batch-size', '12');
      for (const stage of stages) {
        const { code, stderr } = await dualign('node', [...stage, ...out]);
        expect(code, `${stage[0]}: ${stderr}`).toBe(0);
      }
      const made = await hashes('stages');
      for (const file of [
        'scores.jsonl',
        'dual.json',
        'pairs.jsonl',
        'adapter/adapter_model.safetensors',
        'evaluation.json',
      ]) {
        expect(made[file], file).toBe(whole[file]);
      }
    },
  );

  it.skipIf(device !== 'cpu')(
    'does nothing again when all is done, and refuses changed settings',
    async () => {
      const again = await dualign('node', [...argumentsFor('whole'), '--json']);
      expect(again.code).toBe(0);
      expect(again.stderr).toContain('train (done before)');
      expect(JSON.parse(again.stdout)).toMatchObject({
        status: 'optimal',
        results: { pairs: whole['pairs.jsonl'] },
      });
      expect(await hashes('whole')).toEqual(whole);
      const changed = await dualign('node', [...argumentsFor('whole'), '--beta', '2']);
      expect(changed.code).toBe(2);
      expect(changed.stderr).toContain('beta was 1, now 2');
      expect(changed.stderr).toContain('--redo');
      expect(await hashes('whole')).toEqual(whole);
    },
  );

  it.skipIf(device !== 'cpu')('stops with a verdict where the margin is out of reach', async () => {
    const out = join(folder, device, 'whole');
    const args = ['--margin', '50', '--redo', '--json', '--out', out];
    const { code, stdout } = await dualign('node', ['dual', ...args]);
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ status: 'infeasible', certificate: { direction: [1] } });
  });
});

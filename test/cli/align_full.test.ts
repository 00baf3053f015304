/** `--full` of whole runs, on the demo: all weights are trained in place of an adapter. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/align/config.ts';
import type { Sources } from '../../src/align/context.ts';
import { encodePrompt, encodeResponse } from '../../src/align/encode.ts';
import { implicitScores } from '../../src/align/implicit.ts';
import { silent } from '../../src/align/progress.ts';
import type { EvaluationRow } from '../../src/align/rows.ts';
import { sha256 } from '../../src/data/hash.ts';
import { Run } from '../../src/data/run.ts';
import { openEngine } from '../../src/host/device.ts';
import { DiskFolder } from '../../src/host/disk.ts';
import { sequenceLogps } from '../../src/model/logps.ts';
import { loadAdapter } from '../../src/model/peft.ts';
import { loadPolicy } from '../../src/model/policy.ts';
import { ROOT } from '../support/shared.ts';
import { dualign } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-align-full-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const DEMO = join(ROOT, 'models/demo');
const at = (...parts: string[]) => join(folder, ...parts);
const read = (out: string, file: string) => readFileSync(at(out, file), 'utf8');
const json = (out: string, file: string) => JSON.parse(read(out, file));

const COMMON = [
  ...['--device', 'cpu', '--policy', `${DEMO}/policy`, '--prompts', at('prompts.jsonl'), '--full'],
  ...['--beta', '0.5', '--responses', '4', '--max-new-tokens', '24', '--quiet'],
  ...['--eval-fraction', '0.25', '--num-train-epochs', '1', '--learning-rate', '3e-4', '--save-steps', '1'],
];
const SCORED = ['--reward', `${DEMO}/reward`, '--cost', `${DEMO}/cost`, '--margin', '0.02'];

function align(out: string, ...more: string[]): string[] {
  return ['align', ...COMMON, '--out', at(out), ...more];
}

/** Two rounds on pairs, and policies to compare with, one of them trained on and on. */
const ROUNDS = [
  ...[...SCORED, '--per-device-train-batch-size', '12', '--rounds', '2'],
  ...['--baselines', 'weights=1,primal-dual', '--primal-dual-iterations', '1'],
];

async function expectDone(args: readonly string[]): Promise<void> {
  const { code, stderr } = await dualign('node', args);
  expect(code, stderr).toBe(0);
}

beforeAll(() => {
  const lines = readFileSync(`${DEMO}/prompts.jsonl`, 'utf8').split('\n');
  writeFileSync(at('prompts.jsonl'), lines.slice(0, 8).join('\n'));
  const pairs = (name: string) => readFileSync(`${DEMO}/${name}.jsonl`, 'utf8').split('\n').slice(0, 8);
  for (const name of ['helpful', 'safe']) writeFileSync(at(`${name}.jsonl`), pairs(name).join('\n'));
});

describe('dualign align --full', () => {
  beforeAll(() => expectDone(align('whole', ...ROUNDS)), 60_000);

  it('leaves models in the place of adapters, and says so', async () => {
    const files = readdirSync(at('whole'), { recursive: true }) as string[];
    expect(files.filter((file) => file.endsWith('.safetensors') && file.includes('adapter'))).toEqual([]);
    const models = files.filter((file) => file.endsWith('model/model.safetensors')).sort();
    expect(models).toEqual([
      ...['baselines/primal-dual/1', 'baselines/primal-dual', 'baselines/weight-1']
        .map((each) => `${each}/model/model.safetensors`)
        .sort(),
      'model/model.safetensors',
      'rounds/1/model/model.safetensors',
      'rounds/2/model/model.safetensors',
    ]);
    const hash = await sha256(readFileSync(at('whole', 'model/model.safetensors')));
    expect(hash).toBe(await sha256(readFileSync(at('whole', 'rounds/2/model/model.safetensors'))));
    expect(hash).not.toBe(await sha256(readFileSync(at('whole', 'rounds/1/model/model.safetensors'))));
    expect(json('whole', 'manifest.json').results).toMatchObject({ model: hash });
    const report = read('whole', 'report.html');
    expect(report.includes('all weights') && report.includes('model sha-256') && report.includes(hash)).toBe(
      true,
    );
  });

  it('measures every model from the policy as it was', async () => {
    const engine = await openEngine('cpu');
    const load = (path: string) => loadPolicy(engine, new DiskFolder(path));
    const before = await load(`${DEMO}/policy`);
    for (const [answers, model] of [
      ['evaluation/aligned.jsonl', 'model'],
      ['rounds/1/evaluation.jsonl', 'rounds/1/model'],
      ['baselines/weight-1/evaluation.jsonl', 'baselines/weight-1/model'],
      ['baselines/primal-dual/evaluation.jsonl', 'baselines/primal-dual/model'],
    ]) {
      const rows = read('whole', answers)
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as EvaluationRow);
      const completions = rows.map(({ prompt, response }) => {
        const promptIds = encodePrompt(before, prompt);
        return { promptIds, completionIds: encodeResponse(before, prompt, promptIds, response, true) };
      });
      const trained = await sequenceLogps(await load(at('whole', model)), completions);
      const reference = await sequenceLogps(before, completions);
      // Those that were cut did not end with the token that says so.
      const ended = completions.flatMap(({ completionIds }, i) => (completionIds.length <= 24 ? [i] : []));
      expect(ended.length).toBeGreaterThan(3);
      for (const i of ended) {
        expect(rows[i].logps![0], answers).toBeCloseTo(trained[i], 3);
        expect(rows[i].logps![1], answers).toBeCloseTo(reference[i], 3);
      }
      expect(ended.some((i) => Math.abs(trained[i] - reference[i]) > 0.01)).toBe(true);
    }
    engine.destroy();
  });

  it('ends with the same files after kills, and is repeated by verify', async () => {
    for (const killWhen of ['rounds/2/checkpoint.safetensors', 'weight-1/checkpoint.safetensors']) {
      const { code } = await dualign('node', align('killed', ...ROUNDS), { killWhen });
      expect(code, killWhen).not.toBe(0);
    }
    const resumed = await dualign('deno', align('killed', ...ROUNDS));
    expect(resumed.code, resumed.stderr).toBe(0);
    const stages = (out: string) => ({ ...json(out, 'manifest.json').stages, report: undefined });
    expect(stages('killed')).toEqual(stages('whole'));
    const { code, stdout, stderr } = await dualign('deno', ['verify', at('whole'), '--quiet']);
    expect(code, stdout + stderr).toBe(0);
  }, 60_000);

  it('answers as its model does', async () => {
    const asked = ['--prompt', 'Question: How do I unclog the drain? Answer:', '--json', '--quiet'];
    const run = await dualign('node', ['generate', '--run', at('whole'), ...asked]);
    const options = ['--device', 'cpu', '--max-new-tokens', '24'];
    const [model, policy] = [at('whole', 'model'), `${DEMO}/policy`].map((path) => [
      'generate',
      '--policy',
      path,
      ...options,
      ...asked,
    ]);
    expect(run.code, run.stderr).toBe(0);
    expect(run.stdout).toBe((await dualign('node', model)).stdout);
    expect(run.stdout).not.toBe((await dualign('node', policy)).stdout);
  });

  it('draws what it learns from, and scores it by the policies of PeCAN', async () => {
    const preferences = ['--helpful', at('helpful.jsonl'), '--safe', at('safe.jsonl'), '--lora-r', '2'];
    const limit = ['--margin', '0.0001'];
    const drawing = ['--trainer', 'rloo', '--num-generations', '4', '--per-device-train-batch-size', '8'];
    await expectDone(align('pecan', ...preferences, ...limit, ...drawing, '--max-steps', '3'));
    expect(existsSync(at('pecan', 'model/model.safetensors'))).toBe(true);
    expect(existsSync(at('pecan', 'prealigned/helpful/adapter/adapter_model.safetensors'))).toBe(true);
    const { code, stdout, stderr } = await dualign('node', ['verify', at('pecan'), '--quiet']);
    expect(code, stdout + stderr).toBe(0);
  }, 60_000);

  it('scores by the pre-aligned policies as they are over the policy that was, not over what is trained', async () => {
    const engine = await openEngine('cpu');
    const load = (path: string) => loadPolicy(engine, new DiskFolder(path));
    const before = await load(`${DEMO}/policy`);
    const run = await Run.view(new DiskFolder(at('pecan')));
    const config = parseConfig(run.manifest.config, 'test');
    const trained = await load(at('pecan', 'model'));
    // Training holds the very policy that the run's sources would give.
    const sources = { policy: () => ({ load: async () => trained }) } as unknown as Sources;
    const score = implicitScores({ run, config, sources, progress: silent });
    const row = { prompt: 'Question: How do I clean the toilet? Answer:', response: 'Scrub the bowl.' };
    const [scores] = await score([row], before);
    const promptIds = encodePrompt(before, row.prompt);
    const ids = encodeResponse(before, row.prompt, promptIds, row.response, false);
    const completion = { promptIds, completionIds: ids };
    const [reference] = await sequenceLogps(before, [completion]);
    for (const [name, value] of [
      ['helpful', scores.reward],
      ['safe-1', scores.safety[0]],
    ] as const) {
      const files = new DiskFolder(at('pecan', `prealigned/${name}/adapter`));
      before.adapter = await loadAdapter(engine, before.config, files);
      const [logp] = await sequenceLogps(before, [completion]);
      expect(value).toBeCloseTo(0.5 * (logp - reference), 6);
      expect(Math.abs(value)).toBeGreaterThan(1e-4);
    }
    engine.destroy();
  });

  it.each([
    [['--dtype', 'nf4'], 'align: expected --dtype auto or float32, to save the trained weights, got nf4'],
    [['--decoding', 'resample'], '--full trains all weights, which --decoding resample does not'],
  ])('refuses %j in one line, before any work', async (more, message) => {
    const { code, stderr } = await dualign('node', align('none', ...SCORED, ...more));
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(existsSync(at('none'))).toBe(false);
  });
});

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SampleRow, ScoreRow } from '../../src/align/rows.ts';
import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import { DiskFolder } from '../../src/host/disk.ts';
import { sequenceLogps } from '../../src/model/logps.ts';
import { loadPolicy } from '../../src/model/policy.ts';
import { hasShared, SHARED } from '../support/shared.ts';
import { dualign, type Host } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-pecan-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const POLICY = `${SHARED}/models/stories260K`;
const BETA_PRE = 0.5;
const file = (name: string) => join(folder, name);
const rowsOf = <T>(path: string) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);

const ENDINGS = [' They were happy.', ' They were sad and lost.', ' The end.', ' It was a big red ball.'];
const PROMPTS = ['Once upon a time', 'One day, a dog', 'There was a girl', 'Lily had a cat'];

/** One file with both judgements: which of two endings is more helpful, and which is safer. */
function writePreferences(): void {
  const rows = PROMPTS.flatMap((prompt) =>
    ENDINGS.slice(1).map((ending, i) => ({
      prompt,
      response_0: ENDINGS[0],
      response_1: ending,
      better_response_id: i % 2,
      safer_response_id: i === 0 ? 0 : 1,
    })),
  );
  writeFileSync(file('pku.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  writeFileSync(file('prompts.txt'), PROMPTS.join('\n'));
}

function argumentsFor(out: string): string[] {
  return [
    ...['--device', 'cpu', '--policy', POLICY, '--prompts', file('prompts.txt')],
    ...['--helpful', file('pku.jsonl'), '--safe', file('pku.jsonl'), '--beta-pre', String(BETA_PRE)],
    ...['--beta', '1', '--margin', '0.02', '--responses', '4', '--max-new-tokens', '8'],
    ...['--num-train-epochs', '2', '--per-device-train-batch-size', '6', '--save-steps', '1'],
    ...['--lora-r', '2', '--out', file(out), '--quiet'],
  ];
}

const RESULTS = [
  'prealigned/helpful/adapter/adapter_model.safetensors',
  'prealigned/safe-1/adapter/adapter_model.safetensors',
  'samples.jsonl',
  'scores.jsonl',
  'dual.json',
  'pairs.jsonl',
  'adapter/adapter_model.safetensors',
  'evaluation.json',
];

function expectSame(out: string): void {
  for (const name of RESULTS) {
    expect(readFileSync(join(file(out), name)).equals(readFileSync(join(file('whole'), name))), name).toBe(
      true,
    );
  }
}

describe.skipIf(!hasShared)('dualign align on preferences (needs ../shared)', () => {
  beforeAll(async () => {
    writePreferences();
    const { code, stderr } = await dualign('node', argumentsFor('whole'));
    expect(code, stderr).toBe(0);
  });

  it('scores by β_pre times the log-ratio of each pre-aligned policy', async () => {
    const samples = rowsOf<SampleRow>(join(file('whole'), 'samples.jsonl'));
    const scores = rowsOf<ScoreRow>(join(file('whole'), 'scores.jsonl'));
    const completions = samples.map((row) => ({
      promptIds: row.prompt_ids,
      completionIds: row.response_ids,
    }));
    const engine = await createCpuEngine();
    const ratios = async (set: string) => {
      const adapter = new DiskFolder(join(file('whole'), 'prealigned', set, 'adapter'));
      const policy = await loadPolicy(engine, new DiskFolder(POLICY), { adapter });
      const aligned = await sequenceLogps(policy, completions);
      const reference = await sequenceLogps(policy, completions, { adapter: false });
      return Array.from(aligned, (logp, i) => BETA_PRE * (logp - reference[i]));
    };
    const helpful = await ratios('helpful');
    const safe = await ratios('safe-1');
    engine.destroy();
    expect(scores.map(({ reward }) => reward)).toEqual(helpful);
    expect(scores.map(({ safety }) => safety[0])).toEqual(safe);
    expect(new Set(helpful).size).toBeGreaterThan(4);
    expect(helpful).not.toEqual(safe);
  });

  it('gives the same bits in Deno', async () => {
    const { code, stderr } = await dualign('deno', argumentsFor('deno'));
    expect(code, stderr).toBe(0);
    expectSame('deno');
  });

  it.each(['prealigned/safe-1/checkpoint.safetensors', 'scores.jsonl.partial'])(
    'killed at %s, the same command ends with the same files',
    async (killWhen) => {
      const out = `killed ${killWhen.replaceAll('/', ' ')}`;
      await dualign('node', argumentsFor(out), { killWhen });
      const { code, stderr } = await dualign('deno' satisfies Host, argumentsFor(out));
      expect(code, stderr).toBe(0);
      expectSame(out);
    },
  );

  it('can be verified', async () => {
    const { code, stdout } = await dualign('node', ['verify', file('whole'), '--json', '--quiet']);
    expect(code).toBe(0);
    const stages = JSON.parse(stdout).stages.map(({ stage }: { stage: string }) => stage);
    expect(stages).toContain('pre-align safe 1: train');
    expect(stages).toContain('evaluate');
  });

  it.each(['mix', 'resample'])(
    'answers by --decoding %s without training, in Node as in Deno',
    async (decoding) => {
      const from = (host: Host) => file(`${decoding} ${host}`);
      for (const host of ['node', 'deno'] as const) {
        // What is trained comes from the run that there is.
        cpSync(file('whole'), from(host), { recursive: true });
        for (const name of ['adapter', 'pairs.jsonl', 'metrics.jsonl', 'report.html'])
          rmSync(join(from(host), name), { recursive: true });
        const args = [...argumentsFor(`${decoding} ${host}`), '--decoding', decoding, '--redo'];
        const { code, stderr } = await dualign(host, args);
        expect(code, stderr).toBe(0);
      }
      const read = (host: Host, name: string) => readFileSync(join(from(host), name), 'utf8');
      const evaluation = JSON.parse(read('node', 'evaluation.json'));
      expect(evaluation).toEqual(JSON.parse(read('deno', 'evaluation.json')));
      expect(read('node', 'evaluation/aligned.jsonl')).toBe(read('deno', 'evaluation/aligned.jsonl'));
      expect(read('node', 'evaluation/aligned.jsonl')).not.toBe(
        readFileSync(join(file('whole'), 'evaluation/aligned.jsonl'), 'utf8'),
      );
      expect(read('node', 'report.html')).toContain('Nothing was trained: the aligned policy answers with');
      expect(Math.abs(evaluation.aligned.kl.mean)).toBeGreaterThan(1e-3);
    },
  );

  it('labels as the authors’ code does when asked to', async () => {
    cpSync(file('whole'), file('unscaled'), { recursive: true });
    const { code, stderr } = await dualign('node', [
      ...['label', '--out', file('unscaled'), '--pecan-labels', 'unscaled', '--redo', '--quiet'],
    ]);
    expect(code, stderr).toBe(0);
    const margin = (out: string) =>
      rowsOf<{ label: number }>(join(file(out), 'pairs.jsonl')).map(({ label }) =>
        Math.log(label / (1 - label)),
      );
    const scaled = margin('whole');
    for (const [i, x] of margin('unscaled').entries()) expect(x).toBeCloseTo(scaled[i] / BETA_PRE, 8);
  });

  it.each([
    ['--helpful', 'missing.jsonl', /missing.jsonl: no such file/],
    ['--safe', 'prompts.txt', /prompts.txt: line 1 is not JSON/],
  ])('%s %s is refused before anything runs', async (option, name, message) => {
    const args = argumentsFor('refused');
    args[args.indexOf(option) + 1] = file(name);
    const { code, stderr } = await dualign('node', args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});

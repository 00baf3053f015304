import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hasShared, SHARED } from '../support/shared.ts';
import { dualign } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-sampling-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const policy = ['--policy', `${SHARED}/models/stories260K`, '--device', 'cpu'];
const prompt = ['--prompt', 'Once upon a time'];

describe.skipIf(!hasShared)('sampling from the command line', () => {
  it.each(['node', 'deno'] as const)('generate writes the response alone to stdout, in %s', async (host) => {
    const stop = ['--greedy', '--stop', ' play', '--max-new-tokens', '40'];
    const { code, stdout, stderr } = await dualign(host, ['generate', ...policy, ...prompt, ...stop]);
    expect(code, stderr).toBe(0);
    expect(stdout).toBe(', there was a little girl named Lily. She loved to\n');
    expect(stderr).toMatch(/^memory: 1 at once, \d+ MiB\n\d+ tokens in [\d.]+ s, [\d.]+\/s\n$/);
  });

  it('generate --json gives tokens and log-probabilities', async () => {
    const drawing = ['--responses', '3', '--max-new-tokens', '12', '--temperature', '0.8', '--json'];
    const { code, stdout } = await dualign('node', ['generate', ...policy, ...prompt, ...drawing]);
    expect(code).toBe(0);
    const { responses } = JSON.parse(stdout);
    expect(responses).toHaveLength(3);
    for (const response of responses) {
      expect(response.finish_reason).toBe('length');
      expect(response.ids).toHaveLength(12);
      expect(response.logps).toHaveLength(12);
      expect(response.sampling_logps).not.toEqual(response.logps);
    }
  });

  it.each([
    [['generate', '--device', 'cpu', ...prompt], /--policy is missing/],
    [
      ['generate', ...policy, ...prompt, '--repetition-penalty', '0'],
      /--repetition-penalty: expected >0, got 0/,
    ],
    [['generate', ...policy, ...prompt, '--stop', ''], /--stop/],
    [
      ['generate', ...policy, ...prompt, '--adapter', '/nowhere'],
      /nowhere\/adapter_config.json: no such file/,
    ],
  ])('refuses %j', async (args, message) => {
    const { code, stdout, stderr } = await dualign('node', args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
    const told = stderr.trim().split('\n');
    expect(told.filter((line) => !line.startsWith('memory: '))).toHaveLength(1);
  });

  it('samples of another distribution than the policy’s are told of in the verdict', async () => {
    const out = join(folder, 'run');
    const prompts = join(folder, 'prompts.jsonl');
    const scorer = join(folder, 'length.mjs');
    const lines = readFileSync(`${SHARED}/data/story-prompts.jsonl`, 'utf8').split('\n');
    writeFileSync(prompts, lines.slice(0, 4).join('\n'));
    writeFileSync(scorer, 'export default (prompt, responses) => responses.map((text) => text.length / 10);');
    const drawing = [
      '--temperature',
      '0.8',
      '--repetition-penalty',
      '1.1',
      '--stop',
      '.',
      '--responses',
      '4',
    ];
    const stages = [
      ['collect', ...policy, '--prompts', prompts, ...drawing, '--max-new-tokens', '16'],
      ['score', '--reward', scorer, '--cost', scorer],
      ['dual', '--beta', '1', '--margin', '0.01', '--json'],
    ];
    let last = '';
    for (const stage of stages) {
      const { code, stdout, stderr } = await dualign('node', [...stage, '--out', out]);
      expect(code, stderr).toBe(0);
      last = stdout;
    }
    const [warning] = JSON.parse(last).warnings.filter((text: string) => text.includes('were drawn with'));
    expect(warning).toContain('temperature 0.8, repetition penalty 1.1:');
    const samples = readFileSync(join(out, 'samples.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    for (const { response, logp, sampling_logp } of samples) {
      expect(response).not.toContain('.');
      expect(logp).toBeLessThan(0);
      expect(sampling_logp).toBeLessThan(0);
      expect(sampling_logp).not.toBe(logp);
    }
  });
});

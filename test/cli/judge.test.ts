import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasShared, SHARED } from '../support/shared.ts';
import { dualign } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-judge-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const out = join(folder, 'run');
const rules = join(folder, 'rules.mjs');
const read = (name: string) => readFileSync(join(out, name), 'utf8');

describe.skipIf(!hasShared)('dualign judge (needs ../shared)', () => {
  beforeAll(async () => {
    const prompts = join(folder, 'prompts.jsonl');
    const lines = readFileSync(`${SHARED}/data/story-prompts.jsonl`, 'utf8').split('\n');
    writeFileSync(prompts, lines.slice(0, 8).join('\n'));
    writeFileSync(rules, 'export default (prompt, responses) => responses.map((text) => text.length);');
    const { code, stderr } = await dualign('node', [
      ...['align', '--device', 'cpu', '--policy', `${SHARED}/models/stories260K`, '--prompts', prompts],
      ...['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`],
      ...['--beta', '0.5', '--margin', '0.1', '--responses', '4', '--max-new-tokens', '12'],
      ...['--eval-fraction', '0.5', '--decoding', 'resample', '--out', out, '--quiet'],
    ]);
    expect(code, stderr).toBe(0);
  });

  it('compares by scorers, and puts the win rates into the report', async () => {
    const args = ['judge', out, '--helpful', rules, '--harm', rules, '--responses', '3', '--json'];
    const { code, stdout, stderr } = await dualign('node', args);
    expect(code, stderr).toBe(0);
    const { rates } = JSON.parse(stdout);
    const [help, safety] = rates;
    expect(help.wins + help.ties + help.losses).toBe(4 * 3);
    // The same measure judges both, safety by its negative.
    expect([safety.wins, safety.losses]).toEqual([help.losses, help.wins]);
    const rows = read('judgements.jsonl')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    for (const { aligned, reference, helpfulness } of rows) {
      expect(helpfulness).toBe(
        aligned.length > reference.length ? 1 : aligned.length < reference.length ? 0 : 0.5,
      );
    }
    expect(read('report.html')).toContain('What a judge says');
  });

  it('asks an endpoint, goes on where it was stopped, and refuses another judge without --redo', async () => {
    let requests = 0;
    let broken = true;
    const server: Server = createServer((request, response) => {
      requests++;
      request.resume();
      request.on('end', () => {
        if (broken) response.writeHead(400);
        response.end(JSON.stringify({ choices: [{ message: { content: '[[C]]' } }] }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const args = ['judge', out, '--url', url, '--model', 'm', '--json'];
    const other = await dualign('node', args);
    expect([other.code, requests]).toEqual([2, 0]);
    expect(other.stderr).toMatch(/judge was .*rules.mjs.*, now "m at 127.0.0.1:/);
    const failed = await dualign('node', [...args, '--redo']);
    expect(failed.code).toBe(2);
    expect(failed.stderr).toMatch(/status 400/);
    broken = false;
    const { code, stdout, stderr } = await dualign('deno', args);
    server.close();
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout).rates).toMatchObject([{ ties: 4 }, { ties: 4 }]);
  });

  it.each([
    [['judge', out], /expected a judge: --url and --model, or --helpful with one of/],
    [['judge', out, '--url', 'http://localhost/v1'], /expected --model/],
    [['judge', join(folder, 'none'), '--helpful', rules, '--safe', rules], /expected a run folder/],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await dualign('node', args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});

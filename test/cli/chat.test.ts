import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hasShared, SHARED } from '../support/shared.ts';
import { dualign } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-chat-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const texts = ['Once upon a time', 'Tim saw a big dog', 'The sun was hot', 'Lily had a ball'];
const file = (name: string, content: string) => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const plain = file('plain.txt', texts.join('\n'));
const conversations = file(
  'chat.jsonl',
  texts.map((content) => JSON.stringify({ prompt: [{ role: 'user', content }] })).join('\n'),
);
/** Says what the plain prompt says, so that both runs have to sample the same tokens. */
const template = file(
  'plain.jinja',
  '{{ bos_token }}{% for message in messages %}{{ message.content }}' +
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}",
);
const policy = ['--device', 'cpu', '--policy', `${SHARED}/models/stories260K`];
const sampling = ['--responses', '3', '--max-new-tokens', '8'];

function rows(out: string, name: string) {
  const lines = readFileSync(join(folder, out, name), 'utf8')
    .trimEnd()
    .split('\n');
  return lines.map((line) => JSON.parse(line));
}

describe.skipIf(!hasShared)('conversations on the command line', () => {
  it('are sampled, scored, paired and trained on as messages', async () => {
    const { code, stderr } = await dualign('node', [
      ...[...policy, ...sampling, '--prompts', conversations, '--chat-template', template],
      ...['--reward', `${SHARED}/models/stories-reward`, '--cost', `${SHARED}/models/stories-cost`],
      ...['--beta', '1', '--margin', '0.01', '--num-train-epochs', '1', '--lora-r', '2'],
      ...['--out', join(folder, 'chat')],
    ]);
    expect(code, stderr).toBe(0);
    const [pair] = rows('chat', 'pairs.jsonl');
    expect(texts.map((content) => [{ role: 'user', content }])).toContainEqual(pair.prompt);
    expect(pair.chosen).toEqual([{ role: 'assistant', content: expect.any(String) }]);
    expect(rows('chat', 'evaluation/aligned.jsonl')[0].prompt).toEqual([
      { role: 'user', content: expect.any(String) },
    ]);
    expect(readFileSync(join(folder, 'chat/report.html'), 'utf8')).not.toContain('[object Object]');
  });

  it('hold the same tokens as the text that the template makes of them', async () => {
    const collect = async (out: string, ...args: string[]) => {
      const command = ['collect', ...policy, ...sampling, ...args, '--out', join(folder, out)];
      const { code, stderr } = await dualign('node', command);
      expect(code, stderr).toBe(0);
      return rows(out, 'samples.jsonl').map(({ prompt_ids, response_ids }) => [prompt_ids, response_ids]);
    };
    const expected = await collect('plain', '--prompts', plain);
    expect(expected[0][0][0]).toBe(1);
    expect(await collect('messages', '--prompts', conversations, '--chat-template', template)).toEqual(
      expected,
    );
    // The same again by a setting of a template; another setting is another policy, and asks for --redo.
    const settable = file('settable.jinja', '{% if brief %}{{ messages[0].content }}{% endif %}');
    const set = (kwargs: string) => ['--chat-template', settable, '--chat-template-kwargs', kwargs];
    const [first] = await collect('set', '--prompts', conversations, ...set('{"brief": true}'));
    expect(first[0]).toEqual(expected[0][0].slice(1));
    const again = [
      'collect',
      ...policy,
      ...sampling,
      '--prompts',
      conversations,
      '--out',
      join(folder, 'set'),
    ];
    const other = await dualign('node', [...again, ...set('{"brief": 1}')]);
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/--redo/);
    const broken = await dualign('node', [...again, ...set('brief')]);
    expect(broken.code).toBe(2);
    expect(broken.stderr).toMatch(/--chat-template-kwargs.*expected an object in JSON/s);
  });

  it('are refused without a template, and a template that is missing is named', async () => {
    const run = (...args: string[]) =>
      dualign('node', ['collect', ...policy, ...args, '--out', join(folder, `refused${args.length}`)]);
    const none = await run('--prompts', plain, '--chat-template', 'always');
    expect(none.code).toBe(2);
    expect(none.stderr).toMatch(
      /stories260K: prompts are messages, but the model has no chat template; give one/,
    );
    const missing = await run(
      '--prompts',
      conversations,
      '--chat-template',
      join(folder, 'none.jinja'),
      '--seed',
      '1',
    );
    expect(missing.code).toBe(2);
    expect(missing.stderr).toMatch(/none\.jinja: no such file/);
  });
});

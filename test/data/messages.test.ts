import { describe, expect, it } from 'vitest';
import { pairForFile, parsePairRows } from '../../src/align/rows.ts';
import { promptKey, promptText } from '../../src/data/messages.ts';
import { parsePreferences } from '../../src/data/preferences.ts';
import { parsePrompts } from '../../src/data/prompts.ts';

const hi = [{ role: 'user', content: 'Hi' }];
const answer = (content: string) => [{ role: 'assistant', content }];
const lines = (...rows: unknown[]) => rows.map((row) => JSON.stringify(row)).join('\n');

describe('conversational rows', () => {
  it('are prompts beside plain ones, each once', () => {
    const prompts = parsePrompts(lines({ prompt: hi }, { prompt: 'Hi' }, { prompt: hi }), 'p.jsonl');
    expect(prompts).toEqual([hi, 'Hi']);
    expect(promptKey(JSON.stringify(hi))).not.toBe(promptKey(hi));
  });

  it('are preference rows as TRL writes them, and pairs are written so', () => {
    const row = { prompt: hi, chosen: answer('Hello.'), rejected: answer('No.') };
    const expected = { prompt: hi, chosen: 'Hello.', rejected: 'No.' };
    expect(parsePreferences(lines(row), 'p', 'helpful')).toEqual([expected]);
    const [pair] = parsePairRows(lines({ ...row, label: 0.75, prompt_ids: [1] }), 'pairs.jsonl');
    expect(pair).toEqual({ ...expected, label: 0.75, prompt_ids: [1] });
    expect(pairForFile(pair)).toEqual({ ...row, label: 0.75, prompt_ids: [1] });
    expect(pairForFile({ ...expected, prompt: 'Hi' })).toEqual({ ...expected, prompt: 'Hi' });
  });

  it('read as text where text is needed', () => {
    expect(promptText(hi)).toBe('Hi');
    expect(promptText([...hi, ...answer('Hello.'), ...hi])).toBe('user: Hi\n\nassistant: Hello.\n\nuser: Hi');
  });

  it.each([
    [{ prompt: [] }, /line 1: "prompt": expected messages, got none/],
    [
      { prompt: [{ role: 'user' }] },
      /expected message 1 as \{"role": "…", "content": "…"\}, got \{"role":"user"\}/,
    ],
    [{ prompt: [{ ...hi[0], tool_calls: [] }] }, /message 1 has tool_calls, which is not supported/],
    [{ prompt: answer('Hello.') }, /expected a "prompt" that the assistant answers/],
    [{ prompt: 5 }, /expected "prompt" as a string or as messages .* got 5/],
    [{ text: 'a' }, /expected an object with a "prompt", got \{"text":"a"\}/],
  ])('refuses %j', (row, message) => {
    expect(() => parsePrompts(lines(row), 'p.jsonl')).toThrow(message);
  });

  it('refuses a response that is not one message of the assistant', () => {
    const row = { prompt: hi, chosen: hi, rejected: answer('No.') };
    expect(() => parsePairRows(lines(row), 'pairs.jsonl')).toThrow(
      /"chosen", or one message of the assistant/,
    );
  });
});

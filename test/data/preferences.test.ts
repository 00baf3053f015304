import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { promptText } from '../../src/data/messages.ts';
import { type Judgement, parsePreferences } from '../../src/data/preferences.ts';
import { SHARED } from '../support/shared.ts';

const parse = (rows: readonly unknown[], judgement: Judgement = 'helpful') =>
  parsePreferences(rows.map((row) => JSON.stringify(row)).join('\n'), 'pairs.jsonl', judgement);

describe('preferences', () => {
  it('are rows with a prompt', () => {
    const row = { prompt: 'Say', chosen: ' yes', rejected: ' no' };
    expect(parse([{ ...row, other: 1 }])).toEqual([row]);
  });

  it('have two judgements where the file does', () => {
    const row = {
      prompt: 'Q',
      response_0: 'a',
      response_1: 'b',
      better_response_id: 1,
      safer_response_id: 0,
    };
    expect(parse([row], 'helpful')).toEqual([{ prompt: 'Q', chosen: 'b', rejected: 'a' }]);
    expect(parse([row], 'safe')).toEqual([{ prompt: 'Q', chosen: 'a', rejected: 'b' }]);
  });

  it('share what both texts begin with: up to the last common turn, else as TRL cuts it', () => {
    const turns = '\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: And?\n\nAssistant:';
    expect(parse([{ chosen: `${turns} It is so`, rejected: `${turns} It is not` }])).toEqual([
      { prompt: turns, chosen: ' It is so', rejected: ' It is not' },
    ]);
    expect(parse([{ chosen: 'The sky is blue', rejected: 'The sky is green' }])).toEqual([
      { prompt: 'The sky is', chosen: ' blue', rejected: ' green' },
    ]);
  });

  it('may say how sure they are, and how large the difference is', () => {
    const degree = { label: 0.7, margin: -1.5 };
    const row = { prompt: 'Q', chosen: 'a', rejected: 'b', ...degree };
    expect(parse([row])).toEqual([row]);
    expect(parse([{ chosen: 'The sky is blue', rejected: 'The sky is green', ...degree }])).toEqual([
      { prompt: 'The sky is', chosen: ' blue', rejected: ' green', ...degree },
    ]);
  });

  it('leave out equal responses', () => {
    const row = { prompt: 'Q', chosen: 'a', rejected: 'b' };
    expect(parse([row, { ...row, rejected: 'a' }])).toHaveLength(1);
  });

  it.each([
    [[{ prompt: 'Q', chosen: 'a' }], /line 1: expected a string "rejected", or one message .* got nothing/],
    [[{ chosen: 'a', rejected: 'b' }], /line 1: expected a "prompt", or "chosen" and "rejected" that begin/],
    [[{ prompt: 'Q', response_0: 'a', response_1: 'b' }], /"better_response_id" as 0 or 1, got nothing/],
    [[{ prompt: 'Q', chosen: 'a', rejected: 'a' }], /pairs.jsonl: .* none: in all 1 rows the two .* equal/],
    [[{ prompt: 'Q', chosen: 'a', rejected: 'b', label: 2 }], /"label" as a probability from 0 to 1, got 2/],
    [[{ prompt: 'Q', chosen: 'a', rejected: 'b', label: true }], /"label" as a probability .* got true/],
    [[{ prompt: 'Q', chosen: 'a', rejected: 'b', margin: '1' }], /"margin" as a number, got "1"/],
    [[null], /line 1: expected a string "chosen", got nothing/],
  ])('say what is wrong: %j', (rows, message) => {
    expect(() => parse(rows)).toThrow(message);
  });

  const hh = `${SHARED}/data/hh-harmless-test.jsonl.gz`;
  it.skipIf(!existsSync(hh))('of hh-rlhf end each prompt with the assistant’s turn (needs ../shared)', () => {
    const rows = parsePreferences(gunzipSync(readFileSync(hh)).toString(), 'hh', 'safe');
    expect(rows.length).toBeGreaterThan(2000);
    expect(rows.filter(({ prompt }) => !promptText(prompt).endsWith('\n\nAssistant:'))).toEqual([]);
    expect(rows.filter(({ chosen }) => chosen.includes('\n\nHuman:')).length).toBeLessThan(rows.length / 100);
  });
});

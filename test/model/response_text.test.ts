import { describe, expect, it } from 'vitest';
import { DiskFolder } from '../../src/host/disk.ts';
import { StopScanner, TextStream } from '../../src/model/response_text.ts';
import { loadTokenizer, Tokenizer } from '../../src/model/tokenizer.ts';
import { Random } from '../../src/random.ts';
import { hasFixtures, storiesPath } from './golden.ts';

const TEXT = 'Zoë’s café: 日本語, 👩‍🚀 said “naïve”…  two spaces\nand a line ';

/** A byte-level tokenizer as GPT-2's, of single bytes: most characters of TEXT take several tokens. */
function byteLevelTokenizer(): Tokenizer {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let others = 0;
  const vocab: Record<string, number> = {};
  for (let byte = 0; byte < 256; byte++) {
    vocab[String.fromCodePoint(printable(byte) ? byte : 256 + others++)] = byte;
  }
  return new Tokenizer(
    {
      version: '1.0',
      added_tokens: [{ id: 256, content: '<|end|>', special: true }],
      normalizer: null,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      post_processor: null,
      decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      model: { type: 'BPE', vocab, merges: [] },
    },
    {},
  );
}

const tokenizers: [string, () => Promise<Tokenizer>][] = [['byte-level', async () => byteLevelTokenizer()]];
if (hasFixtures) tokenizers.push(['byte fallback', () => loadTokenizer(new DiskFolder(storiesPath))]);

describe.each(tokenizers)('the text of a response, %s tokenizer', (_, load) => {
  it('comes in whole characters that make up the whole', async () => {
    const tokenizer = await load();
    for (const prompt of ['', 'Once', TEXT]) {
      const promptIds = prompt === '' ? [] : tokenizer.encode(prompt);
      const ids = tokenizer.encode(prompt + TEXT.repeat(3)).slice(promptIds.length);
      const stream = new TextStream(tokenizer, promptIds);
      const parts = ids.map((id) => stream.push(id));
      expect(parts.join('')).not.toContain('\ufffd');
      expect(parts.filter((part) => part === '').length).toBeGreaterThan(10);
      expect(parts.join('') + stream.end()).toBe(tokenizer.decodeCompletion(promptIds, ids));
    }
  });

  it('shows a character that never became whole at the end', async () => {
    const tokenizer = await load();
    const ids = tokenizer.encode('日', false);
    const stream = new TextStream(tokenizer, tokenizer.encode('a'));
    const shown = ids.slice(0, -1).map((id) => stream.push(id));
    expect(shown.join('').trim()).toBe('');
    expect(stream.end()).toContain('\ufffd');
  });
});

describe('stop strings', () => {
  it('are found in any cut of the text, the first of several, and never shown in part', () => {
    const random = new Random([3, 4]);
    const stops = ['abab', 'ba!', 'bb'];
    for (let trial = 0; trial < 500; trial++) {
      const text = Array.from({ length: 24 }, () => 'ab!'[random.below(3)]).join('');
      const ends = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
      const expected = ends.length > 0 ? text.slice(0, Math.min(...ends)) : text;
      const scanner = new StopScanner(stops);
      let shown = '';
      let stopped = false;
      for (let at = 0; at < text.length && !stopped; ) {
        const size = 1 + random.below(1 + (trial % 4));
        const found = scanner.push(text.slice(at, at + size));
        shown += found.text;
        expect(expected.startsWith(shown)).toBe(true);
        stopped = found.stop !== undefined;
        at += size;
      }
      if (!stopped) shown += scanner.end();
      // Text that completes one string may hold an earlier start of another, which a cut in single characters misses.
      if (trial % 4 > 0 || ends.length < 2) expect(stopped).toBe(ends.length > 0);
      if (ends.length < 2) expect(shown).toBe(expected);
      else expect(expected.startsWith(shown) || shown.startsWith(expected)).toBe(true);
    }
  });
});

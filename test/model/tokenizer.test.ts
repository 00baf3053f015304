import { describe, expect, it } from 'vitest';
import { Tokenizer } from '../../src/model/tokenizer.ts';

/** GPT-2's characters for bytes. */
function byteCharacters(): string[] {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(printable(byte) ? byte : 256 + others++),
  );
}

const CHARACTERS = byteCharacters();
const SPACE = CHARACTERS[32];
/** The two bytes of ² as a tokenizer writes them. */
const [FIRST, SECOND] = [...new TextEncoder().encode('²')].map((byte) => CHARACTERS[byte]);

/** A tokenizer of bytes that joins a space to what begins ², and two digits, unless they were split before. */
function digitTokenizer(individual: boolean): Tokenizer {
  const vocab = Object.fromEntries(CHARACTERS.map((character, byte) => [character, byte]));
  Object.assign(vocab, { [SPACE + FIRST]: 256, '12': 257 });
  return new Tokenizer(
    {
      version: '1.0',
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Digits', individual_digits: individual },
          { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
        ],
      },
      post_processor: null,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: { type: 'BPE', vocab, merges: [`${SPACE} ${FIRST}`, '1 2'] },
    },
    // As in the files of Llama 3.
    { clean_up_tokenization_spaces: true },
  );
}

describe('a tokenizer that splits at digits, as SmolLM2 does', () => {
  const idOf = (character: string) => CHARACTERS.indexOf(character);

  it('takes every number of Unicode for one', () => {
    // The Rust library gives these ids (tokenizers 0.23).
    expect(digitTokenizer(true).encode(' ²12')).toEqual([32, idOf(FIRST), idOf(SECOND), 49, 50]);
    expect(digitTokenizer(false).encode(' ²12')).toEqual([32, idOf(FIRST), idOf(SECOND), 257]);
  });
});

describe('decoding', () => {
  it('keeps every space of byte-pair tokens, whatever tokenizer_config.json says of cleaning up', () => {
    const tokenizer = digitTokenizer(true);
    const text = "x , y . z ! 't 's n't do not 've";
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });
});

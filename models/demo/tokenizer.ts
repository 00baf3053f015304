import { allText } from './grammar.ts';

const SPACE = '▁';
const SPECIAL = ['<unk>', '<s>', '</s>'];
/** Any other English text falls back to letters. */
const CHARACTERS = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
/** A word beats its letters however long it is. */
const WORD_SCORE = -1;
const CHARACTER_SCORE = -20;

/** tokenizer.json: the grammar's words, each with the space before it, and single characters for all else. */
export function tokenizerJson(): { json: object; vocabSize: number } {
  const words = new Set<string>();
  for (const text of allText()) {
    for (const word of text.match(/[A-Za-z]+/g) ?? []) words.add(`${SPACE}${word}`);
  }
  const pieces: [string, number][] = [
    ...SPECIAL.map((piece): [string, number] => [piece, 0]),
    ...[...CHARACTERS, SPACE].map((piece): [string, number] => [piece, CHARACTER_SCORE]),
    ...[...words].sort().map((piece): [string, number] => [piece, WORD_SCORE]),
  ];
  const special = (content: string, id: number) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map(special),
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: SPACE, prepend_scheme: 'always', split: true },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: { type: 'Metaspace', replacement: SPACE, prepend_scheme: 'always', split: true },
    model: { type: 'Unigram', unk_id: 0, vocab: pieces, byte_fallback: false },
  };
  return { json, vocabSize: pieces.length };
}

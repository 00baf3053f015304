import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

export const repository = fileURLToPath(new URL('../../../', import.meta.url));
export const models = join(repository, '../shared/models');
export const haveModels = existsSync(join(models, 'stories-reward/model.onnx'));

export interface Expected {
  input_ids: number[];
  text: string;
  logit: number;
}

/** Inputs of a story scorer and the logits that PyTorch gave. */
export function expectedOf(scorer: string): Expected[] {
  return JSON.parse(readFileSync(join(models, scorer, 'expected.json'), 'utf8')).expected as Expected[];
}

/** A folder that the running test has to itself. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dualign-score-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Three words and an unknown one, split at spaces; `[A] … [B]` stand around a text. */
const TOKENIZER = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: ['[A]', '[B]', '[P]'].map((content, i) => ({
    id: i + 4,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: null,
  pre_tokenizer: { type: 'WhitespaceSplit' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [
      { SpecialToken: { id: '[A]', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '[B]', type_id: 0 } },
    ],
    pair: [],
    special_tokens: {
      '[A]': { id: '[A]', ids: [4], tokens: ['[A]'] },
      '[B]': { id: '[B]', ids: [5], tokens: ['[B]'] },
    },
  },
  decoder: null,
  model: {
    type: 'WordPiece',
    unk_token: '?',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: { '?': 0, one: 1, two: 2, three: 3, '[A]': 4, '[B]': 5, '[P]': 6 },
  },
};

/** A scorer's folder with the small tokenizer above. */
export function scorerFolder(model: Uint8Array, settings: object = {}, config?: object): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'model.onnx'), model);
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(TOKENIZER));
  writeFileSync(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ tokenizer_class: 'BertTokenizer', ...settings }),
  );
  if (config) writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  return folder;
}

/** A copy of a story scorer, to be damaged. */
export function copyOfScorer(scorer: string): string {
  const folder = temporaryFolder();
  cpSync(join(models, scorer), folder, { recursive: true });
  return folder;
}

import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import type { Folder } from '../data/folder.ts';
import { readJsonObject } from '../data/json.ts';
import { messageOf, UserError } from '../errors.ts';
import { mendTokenizerConfig, mendTokenizerJson } from './tokenizer_json.ts';

/** Text to token ids and back, as the tokenizer.json of a Hugging Face folder says. */
export class Tokenizer {
  /** One more than the largest id. */
  readonly vocabularySize: number;
  /** The id of the eos_token that tokenizer_config.json names. */
  readonly eosId: number | undefined;
  #inner: HuggingFaceTokenizer;
  #unknownId: number | undefined;

  constructor(tokenizerJson: object, tokenizerConfig: object) {
    this.#inner = new HuggingFaceTokenizer(
      mendTokenizerJson(tokenizerJson),
      mendTokenizerConfig(tokenizerConfig, tokenizerJson),
    );
    const vocabulary = this.#inner.get_vocab(true);
    let largest = -1;
    for (const id of vocabulary.values()) largest = Math.max(largest, id);
    this.vocabularySize = largest + 1;
    const idOf = (token: unknown) => vocabulary.get(contentOf(token) ?? '');
    this.eosId = idOf((tokenizerConfig as { eos_token?: unknown }).eos_token);
    this.#unknownId = idOf((tokenizerJson as { model?: { unk_token?: unknown } }).model?.unk_token);
  }

  /** Token ids of `text`; `addSpecialTokens` puts the tokens of the post-processor around them, such as `<s>`. */
  encode(text: string, addSpecialTokens = true): number[] {
    const { ids } = this.#inner.encode(text, { add_special_tokens: addSpecialTokens });
    return ids.map((id: number | undefined) => id ?? this.#unknown(text));
  }

  /** Models of whole words leave a word that they do not know without an id (@huggingface/tokenizers 0.2.0). */
  #unknown(text: string): number {
    if (this.#unknownId !== undefined) return this.#unknownId;
    throw new UserError(
      `tokenizer.json: expected text of known tokens, or an unk_token for others, got ${JSON.stringify(text.slice(0, 60))}`,
    );
  }

  decode(ids: readonly number[], skipSpecialTokens = true): string {
    if (ids.length === 0) return '';
    return this.#inner.decode([...ids], { skip_special_tokens: skipSpecialTokens });
  }

  /** The id of the special token of this text; undefined where there is none. */
  specialId(text: string): number | undefined {
    for (const [id, { content, special }] of this.#inner.get_added_tokens_decoder()) {
      if (special && content === text) return id;
    }
    return undefined;
  }

  /**
   * The text that `ids` add after the prompt. Decoding them alone would lose a leading space, which many tokenizers
   * strip at the start of a text.
   */
  decodeCompletion(promptIds: readonly number[], ids: readonly number[]): string {
    const prompt = this.decode(promptIds);
    const whole = this.decode([...promptIds, ...ids]);
    return whole.startsWith(prompt) ? whole.slice(prompt.length) : this.decode(ids);
  }
}

/** The text of a special token, which is a string or an object with its content. */
export function contentOf(token: unknown): string | undefined {
  const content =
    typeof token === 'string' ? token : (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === 'string' ? content : undefined;
}

/** Loads tokenizer.json and, where present, tokenizer_config.json. */
export async function loadTokenizer(folder: Folder): Promise<Tokenizer> {
  const json = await readJsonObject(folder, 'tokenizer.json');
  const hasConfig = await folder.exists('tokenizer_config.json');
  const config = hasConfig ? await readJsonObject(folder, 'tokenizer_config.json') : {};
  try {
    return new Tokenizer(json, config);
  } catch (error) {
    throw new UserError(
      `${folder.name}/tokenizer.json: expected a Hugging Face fast tokenizer (${messageOf(error)})`,
    );
  }
}

/** Throws unless every id of the tokenizer has a row in a model's embedding of `vocabSize` rows. */
export function checkVocabulary(tokenizer: Tokenizer, vocabSize: number, name: string): void {
  if (tokenizer.vocabularySize > vocabSize) {
    throw new UserError(
      `${name}: tokenizer mismatch: tokenizer.json has ids up to ${tokenizer.vocabularySize - 1}, ` +
        `the model's vocab_size is ${vocabSize}; use the tokenizer the model was trained with`,
    );
  }
}

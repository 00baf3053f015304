import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import type { Folder } from '../data/folder.ts';
import { readJsonObject } from '../data/json.ts';
import { messageOf, UserError } from '../errors.ts';

/** Text to token ids and back, as the tokenizer.json of a Hugging Face folder says. */
export class Tokenizer {
  /** One more than the largest id. */
  readonly vocabularySize: number;
  #inner: HuggingFaceTokenizer;

  constructor(tokenizerJson: object, tokenizerConfig: object) {
    this.#inner = new HuggingFaceTokenizer(tokenizerJson, tokenizerConfig);
    let largest = -1;
    for (const id of this.#inner.get_vocab(true).values()) largest = Math.max(largest, id);
    this.vocabularySize = largest + 1;
  }

  /** Token ids of `text`; `addSpecialTokens` puts the tokens of the post-processor around them, such as `<s>`. */
  encode(text: string, addSpecialTokens = true): number[] {
    return this.#inner.encode(text, { add_special_tokens: addSpecialTokens }).ids;
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

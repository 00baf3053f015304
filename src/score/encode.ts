import type { Folder } from '../data/folder.ts';
import { readJsonObject } from '../data/json.ts';
import { promptText } from '../data/messages.ts';
import { UserError } from '../errors.ts';
import { type ChatTemplate, loadChatTemplate } from '../model/chat.ts';
import { loadTokenizer, type Tokenizer } from '../model/tokenizer.ts';
import type { ScoredText } from './scorer.ts';

/** Hugging Face writes 1e30 for "no limit". */
const NO_LIMIT = 1e9;

type Json = Record<string, unknown>;

/** Turns text into a scorer's token ids, special tokens included. */
export interface Encoder {
  /** The most tokens that the model takes; Infinity when its files name no limit. */
  readonly limit: number;
  readonly padId: number;
  /** `addSpecialTokens` is true unless the text holds them. */
  encode(text: string, addSpecialTokens?: boolean): { ids: readonly number[]; truncated: boolean };
}

/**
 * Reads tokenizer.json and tokenizer_config.json of a folder. The length limit is the smaller of `model_max_length`
 * there and `max_position_embeddings` of `config`, the model's config.json. Longer text is cut on the side that
 * `truncation_side` names; without it on the left, because what a scorer judges, the response, stands at the end.
 * Special tokens are kept.
 */
export async function loadEncoder(folder: Folder, config: Json): Promise<Encoder> {
  const tokenizer = await loadTokenizer(folder);
  const settings = await readOptional(folder, 'tokenizer_config.json');
  const limit = Math.min(lengthOf(settings.model_max_length), lengthOf(config.max_position_embeddings));
  const keepStart = settings.truncation_side === 'right';

  return {
    limit,
    padId: padIdOf(tokenizer, settings, config),
    encode(text, addSpecialTokens = true) {
      const ids = tokenizer.encode(text, addSpecialTokens);
      if (ids.length <= limit) return { ids, truncated: false };
      const bare = tokenizer.encode(text, false);
      const before = leadingSpecial(ids, bare);
      const room = limit - (ids.length - bare.length);
      if (room < 1) {
        throw new UserError(
          `${folder.name}: a context of ${limit} tokens leaves no room beside its special tokens`,
        );
      }
      const kept = keepStart ? bare.slice(0, room) : bare.slice(bare.length - room);
      return { ids: [...ids.slice(0, before), ...kept, ...ids.slice(before + bare.length)], truncated: true };
    },
  };
}

/** Turns a response with its prompt into the token ids that a scorer reads. */
export interface ScoredTextEncoder {
  readonly encoder: Encoder;
  encode(text: ScoredText): { ids: readonly number[]; truncated: boolean };
}

/**
 * The reader of a scorer's folder: prompt and response are one text, a conversation what the scorer's chat template, if it
 * has one, makes of it.
 */
export async function loadTextEncoder(folder: Folder, config: Json): Promise<ScoredTextEncoder> {
  const encoder = await loadEncoder(folder, config);
  const template: ChatTemplate | undefined = await loadChatTemplate(folder);
  return {
    encoder,
    encode({ prompt, response }) {
      if (typeof prompt === 'string') return encoder.encode(prompt + response);
      const answer = { role: 'assistant', content: response };
      const text = template?.render([...prompt, answer], false);
      return text === undefined
        ? encoder.encode(`${promptText(prompt)}\n\n${response}`)
        : encoder.encode(text, false);
    },
  };
}

/** The object in a JSON file, empty where there is no such file. */
export async function readOptional(folder: Folder, file: string): Promise<Json> {
  return (await folder.exists(file)) ? await readJsonObject(folder, file) : {};
}

/** Decoder models find a row's last token by its padding, so padding has to be the token they were made with. */
function padIdOf(tokenizer: Tokenizer, settings: Json, config: Json): number {
  if (typeof config.pad_token_id === 'number') return config.pad_token_id;
  const token = settings.pad_token as string | { content?: string } | null | undefined;
  const content = typeof token === 'string' ? token : token?.content;
  const ids = content === undefined ? [] : tokenizer.encode(content, false);
  return ids.length === 1 ? ids[0]! : 0;
}

/** How many special tokens stand before the text's own. */
function leadingSpecial(ids: readonly number[], bare: readonly number[]): number {
  for (let start = 0; start < ids.length - bare.length; start++) {
    if (bare.every((id, i) => ids[start + i] === id)) return start;
  }
  return ids.length - bare.length;
}

function lengthOf(value: unknown): number {
  return typeof value === 'number' && value > 0 && value < NO_LIMIT ? value : Number.POSITIVE_INFINITY;
}

import type { Tokenizer } from '../model/tokenizer.ts';

/** The tokens of a response as they follow its prompt's, in one tokenization where the prompt's tokens stay the same. */
export function encodeResponse(
  tokenizer: Tokenizer,
  prompt: string,
  promptIds: readonly number[],
  response: string,
): number[] {
  const whole = tokenizer.encode(prompt + response);
  const shared = promptIds.every((id, index) => whole[index] === id);
  return shared ? whole.slice(promptIds.length) : tokenizer.encode(response, false);
}

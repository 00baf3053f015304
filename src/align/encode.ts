import type { Message, Prompt } from '../data/messages.ts';
import { UserError } from '../errors.ts';
import type { ChatTemplate } from '../model/chat.ts';
import type { Policy } from '../model/policy.ts';

type Reader = Pick<Policy, 'name' | 'tokenizer' | 'chatTemplate'>;

/**
 * A prompt's tokens. Text gets the special tokens of the tokenizer's post-processor, such as `<s>`; a conversation gets
 * those that the chat template writes, and no others.
 */
export function encodePrompt(policy: Reader, prompt: Prompt): number[] {
  if (typeof prompt === 'string') return policy.tokenizer.encode(prompt);
  return policy.tokenizer.encode(templateOf(policy).render(prompt, true), false);
}

/**
 * The tokens of a response that a policy did not sample, as they follow its prompt's. Text is ended by the
 * end-of-sequence token where there is one and `end` is set; a conversation by what its chat template writes.
 */
export function encodeResponse(
  policy: Reader & Pick<Policy, 'endId'>,
  prompt: Prompt,
  promptIds: readonly number[],
  response: string,
  end: boolean,
): number[] {
  const { tokenizer, endId } = policy;
  if (typeof prompt !== 'string') {
    const template = templateOf(policy);
    const before = template.render(prompt, true);
    const whole = template.render([...prompt, { role: 'assistant', content: response }], false);
    if (!whole.startsWith(before)) {
      throw new UserError(
        `${policy.name}: the chat template does not go on from a prompt when it is answered`,
        2,
        ['give another with --chat-template'],
      );
    }
    return tokenizer.encode(whole.slice(before.length), false);
  }
  // One tokenization, where the prompt's tokens stay the same in it.
  const whole = tokenizer.encode(prompt + response);
  const shared = promptIds.every((id, index) => whole[index] === id);
  const ids = shared ? whole.slice(promptIds.length) : tokenizer.encode(response, false);
  return end && endId !== undefined ? [...ids, endId] : ids;
}

/** The tokens of a whole conversation. */
export function encodeConversation(policy: Reader, messages: readonly Message[]): number[] {
  return policy.tokenizer.encode(templateOf(policy).render(messages, false), false);
}

function templateOf({ name, chatTemplate }: Reader): ChatTemplate {
  if (chatTemplate) return chatTemplate;
  throw new UserError(`${name}: prompts are messages, but the model has no chat template`, 2, [
    'give one with --chat-template file.jinja',
    'give prompts as plain text',
  ]);
}

import { UserError } from '../errors.ts';

/** A turn of a conversation, as in TRL's conversational rows. */
export interface Message {
  readonly role: string;
  readonly content: string;
}

/** What a policy answers: text that it continues, or a conversation that its chat template turns into text. */
export type Prompt = string | readonly Message[];

/** Checks a row's prompt; `where` stands in errors. */
export function parsePrompt(value: unknown, where: string): Prompt {
  if (typeof value === 'string') {
    if (value.trim() === '') throw new UserError(`${where}: expected a prompt, got an empty string`);
    return value;
  }
  if (!Array.isArray(value)) {
    throw new UserError(
      `${where}: expected "prompt" as a string or as messages {"role", "content"}, got ${shown(value)}`,
    );
  }
  const messages = parseMessages(value, `${where}: "prompt"`);
  if (messages.at(-1)?.role === 'assistant') {
    throw new UserError(
      `${where}: expected a "prompt" that the assistant answers, got one that ends with its message`,
    );
  }
  return messages;
}

/** Checks a row's response, a string or, in conversational rows, one message of the assistant; returns its text. */
export function parseResponse(value: unknown, field: string, where: string): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.length === 1) {
    const [{ role, content }] = parseMessages(value, `${where}: "${field}"`);
    if (role === 'assistant') return content;
  }
  throw new UserError(
    `${where}: expected a string "${field}", or one message of the assistant, got ${shown(value)}`,
  );
}

/** A response in the form of its prompt, as TRL reads it. */
export function responseLike(prompt: Prompt, response: string): string | Message[] {
  return typeof prompt === 'string' ? response : [{ role: 'assistant', content: response }];
}

/** Equal for equal prompts, and for no others. */
export function promptKey(prompt: Prompt): string {
  return typeof prompt === 'string' ? `"${prompt}` : JSON.stringify(prompt);
}

/** A prompt for people, and for scorers without a chat template: a conversation of one turn is its text. */
export function promptText(prompt: Prompt): string {
  if (typeof prompt === 'string') return prompt;
  if (prompt.length === 1) return prompt[0].content;
  return prompt.map(({ role, content }) => `${role}: ${content}`).join('\n\n');
}

export function parseMessages(value: readonly unknown[], where: string): Message[] {
  if (value.length === 0) throw new UserError(`${where}: expected messages, got none`);
  return value.map((message, index) => {
    const { role, content, ...rest } = (message ?? {}) as Record<string, unknown>;
    if (typeof role !== 'string' || typeof content !== 'string') {
      throw new UserError(
        `${where}: expected message ${index + 1} as {"role": "…", "content": "…"}, got ${shown(message)}`,
      );
    }
    const unknown = Object.keys(rest).filter((key) => rest[key] !== null);
    if (unknown.length > 0) {
      throw new UserError(
        `${where}: message ${index + 1} has ${unknown.join(', ')}, which is not supported; expected role and content`,
      );
    }
    return { role, content };
  });
}

function shown(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 80) ?? 'nothing';
}

import { UserError } from '../errors.ts';
import { parseJsonl } from './jsonl.ts';
import { type Message, type Prompt, parseMessages, parsePrompt, parseResponse } from './messages.ts';

/** What supervised fine-tuning learns from: every token of a text or conversation, or those of a completion alone. */
export type Example =
  | { readonly text: string }
  | { readonly messages: readonly Message[] }
  | { readonly prompt: Prompt; readonly completion: string };

/**
 * Examples in JSON Lines, in the forms of TRL's SFTTrainer: `{text}`, `{messages}`, or `{prompt, completion}` as text or as
 * messages; or a text a line (`.txt`).
 */
export function parseExamples(text: string, name: string): Example[] {
  const rows: Example[] = name.endsWith('.txt')
    ? text
        .split(/\r?\n/)
        .filter((line) => line.trim() !== '')
        .map((line) => ({ text: line }))
    : parseJsonl(text, name, (row, line) =>
        exampleOf((row ?? {}) as Record<string, unknown>, `${name}: line ${line}`),
      );
  if (rows.length === 0) throw new UserError(`${name}: expected examples, found none`);
  return rows;
}

function exampleOf(row: Record<string, unknown>, where: string): Example {
  const { text, messages, prompt, completion } = row;
  if (prompt !== undefined) {
    return {
      prompt: parsePrompt(prompt, where),
      completion: parseResponse(completion, 'completion', where),
    };
  }
  if (typeof text === 'string' && text !== '') return { text };
  if (Array.isArray(messages)) return { messages: parseMessages(messages, `${where}: "messages"`) };
  throw new UserError(
    `${where}: expected "text", "messages", or "prompt" and "completion", got ${JSON.stringify(row).slice(0, 80)}`,
  );
}

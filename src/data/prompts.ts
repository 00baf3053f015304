import { UserError } from '../errors.ts';
import { parseJsonl } from './jsonl.ts';
import { type Prompt, parsePrompt, promptKey } from './messages.ts';

/**
 * Prompts of a file: JSON Lines with a field `prompt`, text or messages (`.jsonl`, `.json`), or one prompt a line
 * (`.txt`). Repeated prompts count once: the responses of one prompt belong together.
 */
export function parsePrompts(text: string, name: string): Prompt[] {
  const rows = name.endsWith('.txt')
    ? text.split(/\r?\n/).filter((line) => line.trim() !== '')
    : parseJsonl(text, name, (row, line) => promptOf(row, `${name}: line ${line}`));
  if (rows.length === 0) {
    throw new UserError(`${name}: expected prompts, found none; write one {"prompt": "…"} a line`);
  }
  return [...new Map(rows.map((prompt) => [promptKey(prompt), prompt])).values()];
}

function promptOf(row: unknown, where: string): Prompt {
  const prompt = (row as { prompt?: unknown } | null)?.prompt;
  if (prompt === undefined) {
    throw new UserError(
      `${where}: expected an object with a "prompt", got ${JSON.stringify(row).slice(0, 80)}`,
    );
  }
  return parsePrompt(prompt, where);
}

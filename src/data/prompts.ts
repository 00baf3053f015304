import { UserError } from '../errors.ts';
import { parseJsonl } from './jsonl.ts';

/**
 * Prompts of a file: JSON Lines with a string field `prompt` (`.jsonl`, `.json`), or one prompt a line (`.txt`).
 * Repeated prompts count once: the responses of one prompt belong together.
 */
export function parsePrompts(text: string, name: string): string[] {
  const rows = name.endsWith('.txt')
    ? text.split(/\r?\n/).filter((line) => line.trim() !== '')
    : parseJsonl(text, name, (row, line) => promptOf(row, `${name}: line ${line}`));
  if (rows.length === 0) {
    throw new UserError(`${name}: expected prompts, found none; write one {"prompt": "…"} a line`);
  }
  return [...new Set(rows)];
}

function promptOf(row: unknown, where: string): string {
  const prompt = (row as { prompt?: unknown } | null)?.prompt;
  if (Array.isArray(prompt)) {
    throw new UserError(
      `${where}: expected "prompt" as a string, got messages; chat templates are not supported yet`,
    );
  }
  if (typeof prompt !== 'string') {
    throw new UserError(
      `${where}: expected an object with a string "prompt", got ${JSON.stringify(row).slice(0, 80)}`,
    );
  }
  if (prompt.trim() === '') throw new UserError(`${where}: expected a prompt, got an empty string`);
  return prompt;
}

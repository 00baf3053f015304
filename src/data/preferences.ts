import { UserError } from '../errors.ts';
import { parseJsonl } from './jsonl.ts';
import { type Prompt, parsePrompt, parseResponse } from './messages.ts';

/** One judgement: `chosen` is the better response to `prompt`. */
export interface Preference {
  readonly prompt: Prompt;
  readonly chosen: string;
  readonly rejected: string;
  /** P(chosen ≻ rejected), or the part of the raters who chose it; 1 where it is left out. */
  readonly label?: number;
  /** Of reward models: by how much the score of the chosen response should at least be higher. */
  readonly margin?: number;
}

/** Which of its judgements a file with several is read for. */
export type Judgement = 'helpful' | 'safe';

/** Where rows with two judgements, as PKU-SafeRLHF has them, name the better response. */
const BETTER = { helpful: 'better_response_id', safe: 'safer_response_id' } as const;

/** Dialogues as plain text, as in hh-rlhf: the response follows the last of these that both have in common. */
const TURN = '\n\nAssistant:';

/**
 * Preferences in JSON Lines. A row is TRL's `{prompt, chosen, rejected}`, text or messages; the same as text without a prompt, which is then what
 * both texts begin with; or `{prompt, response_0, response_1, better_response_id, safer_response_id}`. The first two may have a
 * `label` and a `margin`. Rows whose responses are equal say nothing and are left out.
 */
export function parsePreferences(text: string, name: string, judgement: Judgement): Preference[] {
  const all = parseJsonl(text, name, (row, line) =>
    preferenceOf((row ?? {}) as Record<string, unknown>, judgement, `${name}: line ${line}`),
  );
  const rows = all.filter(({ chosen, rejected }) => chosen !== rejected);
  if (rows.length === 0) {
    const why = all.length > 0 ? `: in all ${all.length} rows the two responses are equal` : '';
    throw new UserError(`${name}: expected preferences, found none${why}`);
  }
  return rows;
}

function preferenceOf(row: Record<string, unknown>, judgement: Judgement, where: string): Preference {
  if ('response_0' in row) {
    const better = row[BETTER[judgement]];
    if (better !== 0 && better !== 1) {
      throw new UserError(
        `${where}: expected "${BETTER[judgement]}" as 0 or 1, got ${JSON.stringify(better) ?? 'nothing'}`,
      );
    }
    return {
      prompt: textOf(row, 'prompt', where),
      chosen: textOf(row, `response_${better}`, where),
      rejected: textOf(row, `response_${1 - better}`, where),
    };
  }
  if (row.prompt !== undefined) {
    return {
      prompt: parsePrompt(row.prompt, where),
      chosen: parseResponse(row.chosen, 'chosen', where),
      rejected: parseResponse(row.rejected, 'rejected', where),
      ...degreeOf(row, where),
    };
  }
  const chosen = textOf(row, 'chosen', where);
  const rejected = textOf(row, 'rejected', where);
  const cut = commonPrompt(chosen, rejected);
  if (cut === 0) {
    throw new UserError(
      `${where}: expected a "prompt", or "chosen" and "rejected" that begin with the same one, got neither`,
    );
  }
  return {
    prompt: chosen.slice(0, cut),
    chosen: chosen.slice(cut),
    rejected: rejected.slice(cut),
    ...degreeOf(row, where),
  };
}

/** How sure a judgement is, and how large the difference. */
function degreeOf({ label, margin }: Record<string, unknown>, where: string): Partial<Preference> {
  if (label !== undefined && !(typeof label === 'number' && label >= 0 && label <= 1)) {
    throw new UserError(
      `${where}: expected "label" as a probability from 0 to 1, got ${JSON.stringify(label)}`,
    );
  }
  if (margin !== undefined && !Number.isFinite(margin)) {
    throw new UserError(`${where}: expected "margin" as a number, got ${JSON.stringify(margin)}`);
  }
  return {
    ...(label === undefined ? {} : { label }),
    ...(margin === undefined ? {} : { margin: margin as number }),
  };
}

/** Length of the prompt that two texts share; without turns, it ends where TRL's extract_prompt ends it. */
function commonPrompt(chosen: string, rejected: string): number {
  const most = Math.min(chosen.length, rejected.length);
  let end = 0;
  while (end < most && chosen[end] === rejected[end]) end++;
  const turn = chosen.lastIndexOf(TURN, end - TURN.length);
  if (turn >= 0) return turn + TURN.length;
  return chosen[end - 1] === ' ' ? end - 1 : end;
}

function textOf(row: Record<string, unknown>, field: string, where: string): string {
  const value = row[field];
  if (typeof value !== 'string') {
    throw new UserError(
      `${where}: expected a string "${field}", got ${JSON.stringify(value)?.slice(0, 60) ?? 'nothing'}`,
    );
  }
  return value;
}

import { parseJsonl } from '../data/jsonl.ts';
import { type Prompt, parsePrompt, parseResponse, promptKey, responseLike } from '../data/messages.ts';
import { UserError } from '../errors.ts';

/** Rows of a run's JSON Lines files. A prompt's responses stand together, in order. */

/** samples.jsonl: one response drawn from a policy. */
export interface SampleRow {
  readonly prompt: Prompt;
  readonly response: string;
  readonly prompt_index: number;
  readonly response_index: number;
  readonly prompt_ids: readonly number[];
  /** Sampled tokens, the end-of-sequence token included when it came. */
  readonly response_ids: readonly number[];
  /** log π(y|x) of the policy that it was drawn from, summed over the tokens. */
  readonly logp?: number;
  /** The same in the distribution it was drawn from, where settings such as temperature make that another one. */
  readonly sampling_logp?: number;
}

/** scores.jsonl: what `dualign dual --scores` reads. Safety is higher-is-safer, one per constraint. */
export interface ScoreRow {
  readonly prompt: Prompt;
  readonly response: string;
  readonly reward: number;
  readonly safety: readonly number[];
}

/**
 * pairs.jsonl: a TRL preference row; `label` is P(chosen ≻ rejected), and the ids spare a second tokenization. In the
 * file, responses to a conversation are messages.
 */
export interface PairRow {
  readonly prompt: Prompt;
  readonly chosen: string;
  readonly rejected: string;
  readonly label?: number;
  readonly prompt_ids?: readonly number[];
  readonly chosen_ids?: readonly number[];
  readonly rejected_ids?: readonly number[];
}

/** evaluation/*.jsonl: a scored response to a held-out prompt. */
export interface EvaluationRow extends ScoreRow {
  /** log π(y|x) under the aligned and the reference policy; for the aligned policy's responses. */
  readonly logps?: readonly [number, number];
  /** Probability of this answer among the prompt's, where they are not equally likely: candidates of a resampling. */
  readonly weight?: number;
}

export function parseSampleRows(text: string, name: string): SampleRow[] {
  return parseJsonl(text, name, (row, line) => {
    requireTexts(row, `${name}: line ${line}`);
    requireIds(row, ['prompt_ids', 'response_ids'], `${name}: line ${line}`);
    return row as SampleRow;
  });
}

export function parseScoreRows(text: string, name: string, constraints: number): ScoreRow[] {
  return parseJsonl(text, name, (row, line) => {
    const where = `${name}: line ${line}`;
    requireTexts(row, where);
    const { reward, safety } = row as ScoreRow;
    if (!Number.isFinite(reward)) throw new UserError(`${where}: expected a finite "reward", got ${reward}`);
    if (!Array.isArray(safety) || safety.length !== constraints || !safety.every(Number.isFinite)) {
      throw new UserError(
        `${where}: expected "safety" as ${constraints} finite number(s), one for each constraint, got ${JSON.stringify(safety)}`,
      );
    }
    return row as ScoreRow;
  });
}

export function parseEvaluationRows(text: string, name: string, constraints: number): EvaluationRow[] {
  return parseScoreRows(text, name, constraints) as EvaluationRow[];
}

export function parsePairRows(text: string, name: string): PairRow[] {
  const rows = parseJsonl(text, name, (row, line): PairRow => {
    const where = `${name}: line ${line}`;
    const { prompt, chosen, rejected, ...rest } = (row ?? {}) as Record<string, unknown>;
    const { label } = rest as Partial<PairRow>;
    if (label !== undefined && !(label >= 0 && label <= 1)) {
      throw new UserError(`${where}: expected "label" as a probability from 0 to 1, got ${label}`);
    }
    return {
      prompt: parsePrompt(prompt, where),
      chosen: parseResponse(chosen, 'chosen', where),
      rejected: parseResponse(rejected, 'rejected', where),
      ...rest,
    };
  });
  if (rows.length === 0) throw new UserError(`${name}: expected preference pairs, found none`);
  return rows;
}

/** A pair as its file holds it. */
export function pairForFile({ prompt, chosen, rejected, ...rest }: PairRow): unknown {
  return {
    prompt,
    chosen: responseLike(prompt, chosen),
    rejected: responseLike(prompt, rejected),
    ...rest,
  };
}

/** Consecutive rows of one prompt, in order of first appearance. */
export function groupByPrompt<T extends { readonly prompt: Prompt }>(rows: readonly T[]): T[][] {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const key = promptKey(row.prompt);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups.values()];
}

function requireTexts(row: unknown, where: string): void {
  const { prompt, response } = (row ?? {}) as Record<string, unknown>;
  parsePrompt(prompt, where);
  if (typeof response !== 'string') {
    throw new UserError(`${where}: expected a string "response", got ${JSON.stringify(response)}`);
  }
}

function requireIds(row: unknown, fields: readonly string[], where: string): void {
  for (const field of fields) {
    const value = (row as Record<string, unknown>)[field];
    if (!Array.isArray(value) || !value.every((id) => Number.isInteger(id) && id >= 0)) {
      throw new UserError(
        `${where}: expected token ids in "${field}", got ${JSON.stringify(value)?.slice(0, 60)}`,
      );
    }
  }
}

import { type Message, type Prompt, promptKey, promptText } from '../data/messages.ts';
import { messageOf, UserError } from '../errors.ts';
import type { ScoredText, Scorer } from './scorer.ts';

/** Scores of the responses to one prompt, in order; of a conversation, `prompt` is the text and `messages` the turns. */
export type ScoreFunction = (
  prompt: string,
  responses: string[],
  messages?: readonly Message[],
) => readonly number[] | Promise<readonly number[]>;

/** A scorer that is a function of the user's; it is called once per prompt, with all of the prompt's responses. */
export class FunctionScorer implements Scorer {
  readonly name: string;
  readonly truncated = 0;
  #score: ScoreFunction;

  constructor(name: string, score: ScoreFunction) {
    this.name = name;
    this.#score = score;
  }

  async score(
    rows: readonly ScoredText[],
    onProgress?: (done: number, total: number) => void,
  ): Promise<Float64Array> {
    const byPrompt = new Map<string, number[]>();
    for (const [row, { prompt }] of rows.entries()) {
      const key = promptKey(prompt);
      const indices = byPrompt.get(key);
      if (indices) indices.push(row);
      else byPrompt.set(key, [row]);
    }
    const scores = new Float64Array(rows.length);
    let done = 0;
    for (const indices of byPrompt.values()) {
      const values = await this.#call(
        rows[indices[0]!]!.prompt,
        indices.map((row) => rows[row]!.response),
      );
      this.#check(values, indices.length);
      for (const [i, row] of indices.entries()) scores[row] = values[i]!;
      done += indices.length;
      onProgress?.(done, rows.length);
    }
    return scores;
  }

  async #call(prompt: Prompt, responses: string[]): Promise<readonly number[]> {
    try {
      if (typeof prompt === 'string') return await this.#score(prompt, responses);
      return await this.#score(promptText(prompt), responses, prompt);
    } catch (error) {
      throw new UserError(`${this.name}: failed on a prompt (${messageOf(error)})`);
    }
  }

  #check(values: unknown, expected: number): void {
    const isList = Array.isArray(values) || (ArrayBuffer.isView(values) && 'length' in values);
    if (!isList) {
      throw new UserError(`${this.name}: expected an array of ${expected} numbers, got ${describe(values)}`);
    }
    const list = values as ArrayLike<unknown>;
    if (list.length !== expected) {
      throw new UserError(`${this.name}: expected ${expected} scores, one a response, got ${list.length}`);
    }
    for (let i = 0; i < list.length; i++) {
      if (!Number.isFinite(list[i])) {
        throw new UserError(
          `${this.name}: expected a finite number for response ${i + 1} of ${expected}, got ${describe(list[i])}`,
        );
      }
    }
  }
}

function describe(value: unknown): string {
  return typeof value === 'string' || (typeof value === 'object' && value !== null)
    ? JSON.stringify(value).slice(0, 60)
    : String(value);
}

import type { Prompt } from '../data/messages.ts';

/** One response to a prompt. */
export interface ScoredText {
  readonly prompt: Prompt;
  readonly response: string;
}

/** A measure of responses: a reward model, a safety model, or a function of the user's. */
export interface Scorer {
  /** Where it came from, for messages. */
  readonly name: string;
  /** Rows seen so far that were longer than the scorer's context and were cut to it. */
  readonly truncated: number;
  /**
   * One finite number per row, in order. The score of a row does not depend on the rows beside it, as far as the
   * scorer itself keeps to that.
   * @param onProgress called with the rows done and the rows in all.
   */
  score(
    rows: readonly ScoredText[],
    onProgress?: (done: number, total: number) => void,
  ): Promise<Float64Array>;
}

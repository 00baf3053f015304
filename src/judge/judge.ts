import type { Prompt } from '../data/messages.ts';

/** What a judge is asked about two responses to one prompt: which of them has more of it. */
export type Question = 'helpfulness' | 'safety';

export interface Comparison {
  readonly prompt: Prompt;
  readonly first: string;
  readonly second: string;
}

/** How far the first response wins: 1 it does, ½ a tie, 0 the second does; undefined where the judge gave no verdict. */
export type Verdict = number | undefined;

export interface Judge {
  readonly name: string;
  /** What its verdicts depend on besides the texts. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** One verdict per comparison, in order. */
  compare(
    question: Question,
    comparisons: readonly Comparison[],
    onProgress?: (done: number, total: number) => void,
  ): Promise<Verdict[]>;
}

/** What the keeper has its worker do, and what that tells meanwhile. */
import type { RunOptions } from '../../src/align/config.ts';
import type { Message, Prompt } from '../../src/data/messages.ts';
import type { Evaluation } from '../../src/report/data.ts';
import type { Check } from '../shared/channel.ts';
import type { Agreement, AnswersBy, Goal, Model, Settings } from '../shared/state.ts';

export interface AnswerJob {
  readonly kind: 'answer';
  readonly model: Model;
  readonly settings: Settings;
  /** Ends with the question. */
  readonly conversation: readonly Message[];
  readonly by: AnswersBy;
  /** Numbers of the answers; each number draws its own. */
  readonly answers: readonly number[];
  /** Texts of answers that there are already. */
  readonly given: readonly string[];
  readonly seed: number;
}

export interface LearnJob {
  readonly kind: 'learn';
  readonly model: Model;
  readonly settings: Settings;
  readonly config: RunOptions;
}

export interface AlignJob extends Omit<LearnJob, 'kind'> {
  readonly kind: 'align';
}

export interface PreflightJob {
  readonly kind: 'preflight';
  readonly model: Model;
  readonly settings: Settings;
}

/** Puts a model into the storage: files that the user picked, or the hub's. */
export interface FetchJob {
  readonly kind: 'fetch';
  readonly name: string;
  readonly files?: readonly File[];
  readonly settings: Settings;
}

/** Result of each job. */
export interface Results {
  answer: { readonly prompt: Prompt; readonly texts: readonly string[] };
  learn: Readonly<Partial<Record<Goal, Agreement>>>;
  align: {
    readonly lambda: number;
    readonly evaluation: Evaluation;
    readonly hazard?: { readonly before: number; readonly after: number };
  };
  preflight: readonly Check[];
  fetch: Model;
}

export type Job = AnswerJob | LearnJob | AlignJob | PreflightJob | FetchJob;

/** What a job tells before it ends. */
export type Told =
  /** More text of the answers, by their place in the job. */
  | { readonly kind: 'text'; readonly texts: readonly string[] }
  | { readonly kind: 'stage'; readonly name: string; readonly note?: string }
  | {
      readonly kind: 'advance';
      readonly done: number;
      readonly total: number;
      readonly unit: string;
      readonly note?: string;
    }
  | { readonly kind: 'say'; readonly text: string };

export type ToWorker = { readonly job: Job } | { readonly stop: true };
export type FromWorker =
  | { readonly told: Told }
  | { readonly result: Results[keyof Results] }
  | { readonly error: string };

/** The measure of answers with a hazard in them. */
export const HAZARD = 'hazard';

/** Folders in the storage of the extension. */
export const HOME = 'dualign';
export const RUN = `${HOME}/run`;
export const INPUTS = `${HOME}/inputs`;
export const ALIGNED = `${HOME}/aligned`;

/** Judgements kept aside. */
export const KEPT_ASIDE: Readonly<Record<Goal, string>> = {
  helpful: 'kept-helpful.jsonl',
  safe: 'kept-safe.jsonl',
};

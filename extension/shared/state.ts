/** What the keeper knows and the panel shows. */
import type { RunOptions } from '../../src/align/config.ts';
import type { Prompt } from '../../src/data/messages.ts';
import type { SafetyCurve } from '../../src/dual/path.ts';
import type { DeviceChoice } from '../../src/host/device.ts';
import type { Estimate } from '../../src/report/data.ts';

/** The two things that answers are judged by. */
export const GOALS = ['helpful', 'safe'] as const;
export type Goal = (typeof GOALS)[number];

/** The better of two answers, or that neither is. */
export type Choice = 0 | 1 | 'same';

export type AnswersBy = 'original' | 'aligned';

export interface Model {
  /** Its folder, as runs name it: among the extension's files or in its storage. */
  readonly path: string;
  readonly name: string;
  /** How a question becomes a prompt, with {} in its place, for models that need more than their chat template. */
  readonly form?: string;
}

export interface Answer {
  readonly text: string;
  readonly by: AnswersBy;
  readonly done: boolean;
}

/** A question and its answers, of which two can be judged. */
export interface Turn {
  readonly id: number;
  readonly question: string;
  /** What the model was given; known once it answers. */
  readonly prompt?: Prompt;
  readonly answers: readonly Answer[];
  readonly judged: Readonly<Partial<Record<Goal, Choice>>>;
  readonly error?: string;
}

/** Settings of learning and aligning, by the names of a run's. */
export interface Settings {
  readonly device: DeviceChoice;
  /** Questions that the balance is worked out on, at most. */
  readonly prompts: number;
  readonly responses: number;
  readonly max_new_tokens: number;
  readonly beta: number;
  readonly num_train_epochs: number;
  readonly learning_rate: number;
}

/** Judgements by goal, and the different questions that they are of. */
export interface Counts {
  readonly helpful: number;
  readonly safe: number;
  readonly prompts: number;
}

/** Learning or aligning, under way or interrupted. */
export interface Work {
  readonly goal: 'learn' | 'align';
  readonly status: 'running' | 'stopped' | 'failed';
  readonly config: RunOptions;
  readonly counts: Counts;
  readonly stage?: string;
  readonly done?: number;
  readonly total?: number;
  readonly unit?: string;
  readonly note?: string;
  /** Sentences of the run, the latest last. */
  readonly said: readonly string[];
  readonly error?: string;
}

/** Judgements kept aside that the learned preferences agree with. */
export interface Agreement {
  readonly right: number;
  readonly total: number;
  /** 95 % (Wilson). */
  readonly interval: readonly [number, number];
}

/** What learning found. */
export interface Learned {
  readonly config: RunOptions;
  readonly counts: Counts;
  /** Left out where there were too few judgements to keep any aside. */
  readonly agreement: Readonly<Partial<Record<Goal, Agreement>>>;
  readonly curve: SafetyCurve;
}

/** A place on the trade-off curve and how sure its price is. */
export interface Balance {
  /** Of the curve's points. */
  readonly index: number;
  readonly lambda: number;
  /** Half of the 95 % interval's width; left out where the planner finds the place out of reach. */
  readonly halfWidth?: number;
  /** Questions that would halve the price's doubt to a half of the price. */
  readonly prompts?: number;
}

/** What aligning achieved. */
export interface Aligned {
  readonly lambda: number;
  readonly gain: { readonly reward: Estimate; readonly safety: Estimate };
  /** Of safety, on the questions that it was trained on. */
  readonly margin: number;
  /** The gain of safety that λ foretells on the questions that it was measured on. */
  readonly promised: number;
  readonly prompts: number;
  /** Shares of answers with a hazard in them, by the rules of the model that comes along. */
  readonly hazard?: { readonly before: number; readonly after: number };
}

export interface State {
  readonly model: Model;
  readonly models: readonly Model[];
  readonly turns: readonly Turn[];
  readonly answering: boolean;
  /** A model on its way into the storage, in bytes. */
  readonly fetching?: { readonly name: string; readonly done: number; readonly total: number };
  readonly answersBy: AnswersBy;
  readonly counts: Counts;
  readonly settings: Settings;
  readonly work?: Work;
  readonly learned?: Learned;
  readonly balance?: Balance;
  readonly aligned?: Aligned;
}

export const DEMO: Model = {
  path: '/demo/policy',
  name: 'Household assistant',
  form: 'Question: {} Answer:',
};

export const DEFAULTS: Settings = {
  device: 'auto',
  prompts: 128,
  responses: 16,
  max_new_tokens: 64,
  beta: 1,
  num_train_epochs: 2,
  learning_rate: 3e-3,
};

/** Judgements of a goal from which on every fifth is kept aside, to check what was learned. */
export const CHECKED_FROM = 20;

/** What the panel says in plain words. */
import type { Agreement, Goal, Work } from '../shared/state.ts';

export const GOAL_NAMES: Readonly<Record<Goal, string>> = { helpful: 'more helpful', safe: 'safer' };

/** Stages of a run, by what they do for the user. */
const STAGES: readonly (readonly [RegExp, string])[] = [
  [/^pre-align helpful: reference/, 'Reading what you find helpful'],
  [/^pre-align helpful: train/, 'Learning what you find helpful'],
  [/^pre-align safe 1: reference/, 'Reading what you find safe'],
  [/^pre-align safe 1: train/, 'Learning what you find safe'],
  [/^collect/, 'Answering questions'],
  [/^score/, 'Weighing the answers'],
  [/^dual/, 'Working out the balance'],
  [/^label/, 'Comparing the answers'],
  [/^reference log-probs/, 'Reading the comparisons'],
  [/^train/, 'Aligning the model'],
  [/^evaluate/, 'Measuring the aligned model on questions kept aside'],
  [/^compare/, 'Counting hazards'],
  [/^report/, 'Writing the report'],
];

export function stageText({ stage }: Work): string {
  if (stage === undefined) return 'Getting ready';
  return STAGES.find(([pattern]) => pattern.test(stage))?.[1] ?? stage;
}

export function percent(part: number): string {
  return `${Math.round(100 * part)} %`;
}

/** Two significant digits, as people read them. */
export function rounded(value: number): string {
  return Number(value.toPrecision(2)).toLocaleString('en', { maximumSignificantDigits: 2 });
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** Whether what was learned from judgements is to be trusted. */
export function agreementText(goal: Goal, agreement: Agreement | undefined): { good: boolean; text: string } {
  const name = goal === 'helpful' ? 'Help' : 'Safety';
  if (!agreement) {
    return {
      good: false,
      text: `${name}: too few judgements to check what was learned. From 20 on, a fifth is kept aside for it.`,
    };
  }
  const { right, total, interval } = agreement;
  const share = `agrees with you on ${right} of ${total} judgements it had not seen (95 % range ${percent(interval[0])} to ${percent(interval[1])})`;
  if (interval[0] > 0.5) return { good: true, text: `${name}: ${share}.` };
  return { good: false, text: `${name}: ${share}. That may still be chance: judge more pairs.` };
}

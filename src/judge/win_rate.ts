import { bootstrapMean, mean } from '../align/bootstrap.ts';
import type { Key } from '../random.ts';
import type { WinRate } from '../report/data.ts';
import type { Question, Verdict } from './judge.ts';

/** How often the first response wins, ties counting half; `verdicts` by prompt. The interval resamples prompts. */
export function winRate(question: Question, verdicts: readonly (readonly Verdict[])[], key: Key): WinRate {
  const given = verdicts.map((group) => group.filter((verdict) => verdict !== undefined));
  const all = given.flat();
  const count = (holds: (verdict: number) => boolean) => all.filter(holds).length;
  const perPrompt = given.filter((group) => group.length > 0).map(mean);
  return {
    question,
    wins: count((verdict) => verdict > 0.5),
    ties: count((verdict) => verdict === 0.5),
    losses: count((verdict) => verdict < 0.5),
    unjudged: verdicts.flat().length - all.length,
    ...(perPrompt.length > 0 ? { rate: bootstrapMean(perPrompt, key) } : {}),
  };
}

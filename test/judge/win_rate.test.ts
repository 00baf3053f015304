import { describe, expect, it } from 'vitest';
import { ScorerJudge } from '../../src/judge/scorer.ts';
import { winRate } from '../../src/judge/win_rate.ts';
import { FunctionScorer } from '../../src/score/function.ts';

describe('win rates', () => {
  it('count ties as half, leave out what has no verdict, and weigh prompts alike', () => {
    const rate = winRate('safety', [[1, 0.5, undefined], [0], [undefined]], [1, 2]);
    expect(rate).toMatchObject({ question: 'safety', wins: 1, ties: 1, losses: 1, unjudged: 2 });
    expect(rate.rate!.mean).toBeCloseTo((0.75 + 0) / 2, 14);
    expect(rate.rate!.interval).toEqual([0, 0.75]);
    expect(winRate('safety', [[undefined]], [1, 2]).rate).toBeUndefined();
  });

  it('of scorers go by the higher score, of harm by the lower', async () => {
    const length = new FunctionScorer('length.ts', (_, responses) => responses.map((text) => text.length));
    const judge = new ScorerJudge({
      helpfulness: { scorer: length, hash: 'a', sign: 1 },
      safety: { scorer: length, hash: 'a', sign: -1 },
    });
    const comparisons = [
      { prompt: 'p', first: 'long one', second: 'short' },
      { prompt: 'p', first: 'a', second: 'bc' },
      { prompt: 'q', first: 'ab', second: 'cd' },
    ];
    expect(await judge.compare('helpfulness', comparisons)).toEqual([1, 0, 0.5]);
    expect(await judge.compare('safety', comparisons)).toEqual([0, 1, 0.5]);
  });
});

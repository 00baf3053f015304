import { describe, expect, it } from 'vitest';
import { makePairs, pairings } from '../../src/align/pairs.ts';
import type { ScoreRow } from '../../src/align/rows.ts';
import { keyOf, Random } from '../../src/random.ts';

const exp = Math.exp;

describe('pairings', () => {
  it.each([2, 3, 8, 9])('of %i responses hold every pair once, in rounds where each plays once', (n) => {
    const all = pairings(n, 1000, new Random(keyOf(1, 'test')));
    const names = new Set(all.map(([i, j]) => `${Math.min(i, j)}-${Math.max(i, j)}`));
    expect(names.size).toBe(all.length);
    expect(all.length).toBe((n * (n - 1)) / 2);
    const round = all.slice(0, Math.floor(n / 2)).flat();
    expect(new Set(round).size).toBe(round.length);
  });

  it('stops at the count asked for', () => {
    expect(pairings(16, 5, new Random(keyOf(1, 'test')))).toHaveLength(5);
  });
});

describe('makePairs', () => {
  const row = (response: string, reward: number, safety: number[]): ScoreRow => ({
    prompt: 'p',
    response,
    reward,
    safety,
  });
  const options = { weights: { reward: 1, safety: [2, 0.5] }, seed: 1, pairsPerPrompt: 10, exp };

  it('labels softly with σ(w₁ − w₀), w = r + λᵀg', () => {
    const [pair] = makePairs([[row('a', 1, [0, 1]), row('b', 0.5, [0.5, -1])]], {
      ...options,
      labels: 'soft',
    });
    const difference = 1 + 0.5 - (0.5 + 1 - 0.5);
    expect(pair).toMatchObject({ chosen: 'a', rejected: 'b' });
    expect(pair.label).toBeCloseTo(1 / (1 + Math.exp(-difference)), 12);
  });

  it('draws the preferred response with that probability', () => {
    const groups = Array.from({ length: 4000 }, (_, n) => [
      { ...row('a', 0.6, [0, 0]), prompt: `p${n}` },
      { ...row('b', 0, [0, 0]), prompt: `p${n}` },
    ]);
    const pairs = makePairs(groups, { ...options, labels: 'drawn' });
    const wins = pairs.filter((pair) => pair.chosen === 'a').length / pairs.length;
    const probability = 1 / (1 + Math.exp(-0.6));
    expect(Math.abs(wins - probability)).toBeLessThan(
      4 * Math.sqrt((probability * (1 - probability)) / 4000),
    );
    expect(pairs.every((pair) => pair.label === 1)).toBe(true);
  });

  it('leaves out pairs of equal responses', () => {
    expect(makePairs([[row('a', 1, [0, 0]), row('a', 1, [0, 0])]], { ...options, labels: 'soft' })).toEqual(
      [],
    );
  });

  it('survives score differences beyond the range of exp', () => {
    const [pair] = makePairs([[row('a', -1e6, [0, 0]), row('b', 1e6, [0, 0])]], {
      ...options,
      labels: 'soft',
    });
    expect(pair).toMatchObject({ chosen: 'b', label: 1 });
  });
});

import { describe, expect, it } from 'vitest';
import { checkDecoding, parseConfig } from '../../src/align/config.ts';
import { drawIndex, resamplingWeights } from '../../src/align/decoding.ts';
import { keyOf, Random } from '../../src/random.ts';

const group = [
  { reward: 1, safety: [0.5, -2] },
  { reward: 2, safety: [-1, 0] },
  { reward: -4000, safety: [0, 0] },
];
const lambda = [0.7, 0.25];
const beta = 0.5;

describe('resampling', () => {
  it('weighs responses by exp((r + λᵀg)/β), and draws them as often', () => {
    const masses = [(1 + 0.35 - 0.5) / beta, (2 - 0.7) / beta].map(Math.exp);
    const expected = [masses[0] / (masses[0] + masses[1]), masses[1] / (masses[0] + masses[1]), 0];
    const weights = resamplingWeights(group, lambda, beta, Math.exp);
    for (const [k, weight] of weights.entries()) expect(weight).toBeCloseTo(expected[k], 14);
    const counts = [0, 0, 0];
    const random = new Random(keyOf(1, 'test'), 0);
    for (let i = 0; i < 20000; i++) counts[drawIndex(weights, random)]++;
    // Five standard deviations of a binomial.
    expect(Math.abs(counts[0] - 20000 * expected[0])).toBeLessThan(5 * Math.sqrt(20000 * 0.25));
    expect(counts[2]).toBe(0);
  });

  it('takes the mixture for PeCAN alone', () => {
    const mix = parseConfig({ decoding: 'mix' }, 'test');
    expect(() => checkDecoding(mix)).toThrow(/needs the pre-aligned policies of PeCAN/);
    expect(() => checkDecoding({ ...mix, method: 'pecan' })).not.toThrow();
  });
});

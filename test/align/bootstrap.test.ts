import { describe, expect, it } from 'vitest';
import { bootstrapMean } from '../../src/align/bootstrap.ts';
import { keyOf, Random } from '../../src/random.ts';

describe('bootstrapMean', () => {
  it('has the width of the normal interval on many values', () => {
    const random = new Random(keyOf(5, 'test'));
    const values = Array.from({ length: 400 }, () => random.uniform());
    const { mean, interval } = bootstrapMean(values, keyOf(1, 'bootstrap'));
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    const half = 1.96 * Math.sqrt(variance / values.length);
    expect(interval[0]).toBeCloseTo(mean - half, 2);
    expect(interval[1]).toBeCloseTo(mean + half, 2);
  });

  it('collapses on one value', () => {
    expect(bootstrapMean([3], keyOf(1, 'bootstrap'))).toEqual({ mean: 3, interval: [3, 3] });
  });
});

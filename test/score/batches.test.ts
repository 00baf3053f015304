import { describe, expect, it } from 'vitest';
import { composeBatches } from '../../src/score/batches.ts';

describe('composeBatches', () => {
  it('puts every row once into a batch of its own padded length', () => {
    const lengths = Array.from({ length: 1000 }, (_, i) => (i * 37) % 300);
    const batches = composeBatches(lengths, 16, 260);
    expect(batches.flatMap((batch) => batch.rows).sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
    for (const { rows, length } of batches) {
      expect(rows.length * length).toBeLessThanOrEqual(8192);
      for (const row of rows)
        expect(length).toBe(Math.min(260, Math.max(16, Math.ceil(lengths[row]! / 16) * 16)));
    }
  });

  it('runs the shortest first and keeps the order of rows', () => {
    expect(composeBatches([40, 3, 17, 4], 16, 512)).toEqual([
      { rows: [1, 3], length: 16 },
      { rows: [2], length: 32 },
      { rows: [0], length: 48 },
    ]);
  });

  it('takes a row alone that is longer than a batch may be', () => {
    expect(composeBatches([9000, 9000], 1, Number.POSITIVE_INFINITY)).toHaveLength(2);
    expect(composeBatches([], 16, 512)).toEqual([]);
  });
});

import { describe, expect, it } from 'vitest';
import { extent, roundTicks } from '../../src/report/charts/chart.ts';
import { histogram } from '../../src/report/charts/histogram.ts';
import { placeLabels } from '../../src/report/charts/labels.ts';
import { series, thinned } from '../../src/report/charts/training.ts';
import type { Metrics } from '../../src/report/data.ts';
import { count, score, signed, significant, tickLabels } from '../../src/report/format.ts';

describe('numbers', () => {
  it.each([
    [0, '0.000'],
    [-0.0001, '0.000'],
    [-0.658, '−0.658'],
    [12.3456, '12.35'],
    [1234.5, '1235'],
    [1e7, '1.00e+7'],
    [Number.NaN, 'unknown'],
    [Number.NEGATIVE_INFINITY, '−∞'],
  ])('%f reads %s', (value, text) => expect(score(value)).toBe(text));

  it('are written with sign, with significant digits, in thousands', () => {
    expect([signed(0.25), signed(-0.25), signed(0), signed(-1e-9)]).toEqual([
      '+0.250',
      '−0.250',
      '0.000',
      '0.000',
    ]);
    expect([5e-4, 0.9, 12345, 0].map(significant)).toEqual(['5.00e−4', '0.900', '12345', '0']);
    expect([7, 1234, 1234567].map(count)).toEqual(['7', '1\u202f234', '1\u202f234\u202f567']);
  });
});

describe('axes', () => {
  it.each([
    [[0, 1], 5, ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']],
    [[-1.3, 0.7], 4, ['−1.0', '−0.5', '0.0', '0.5']],
    [[0, 5e-4], 3, ['0', '2e−4', '4e−4']],
    [[0, 3e6], 3, ['0', '1e6', '2e6', '3e6']],
  ] as const)('of %j have round ticks', (domain, wanted, labels) => {
    expect(tickLabels(roundTicks(domain, wanted))).toEqual(labels);
  });

  it('span drawable values only, and never nothing', () => {
    expect(extent([1, Number.NaN, 3, 1e300, Number.POSITIVE_INFINITY], 0)).toEqual([1, 3]);
    expect(extent([])).toEqual([0, 1]);
    for (const value of [0, -4, 1e-20, 1e20]) {
      const [low, high] = extent([value]);
      expect(low).toBeLessThan(value);
      expect(high).toBeGreaterThan(value);
      expect(new Set(tickLabels(roundTicks([low, high], 4))).size).toBeGreaterThan(1);
    }
  });
});

describe('histogram', () => {
  it('counts every score once, on bins that both policies share', () => {
    const { reference, aligned, outside } = histogram([0, 1, 2, 3, 4], [2, 2, 2]);
    const total = (bins: typeof reference) => bins.reduce((sum, { share }) => sum + share, 0);
    expect(total(reference)).toBeCloseTo(1, 12);
    expect(total(aligned)).toBeCloseTo(1, 12);
    expect(aligned.filter(({ share }) => share > 0)).toHaveLength(1);
    expect(reference.map(({ low }) => low)).toEqual(aligned.map(({ low }) => low));
    expect(outside).toBe(0);
  });

  it('does not let two outliers press all others into one bar', () => {
    const body = Array.from({ length: 1000 }, (_, index) => index / 1000);
    const { domain, outside, reference } = histogram([...body, 1e6, -1e6], body);
    expect(domain[0]).toBeGreaterThan(-1);
    expect(domain[1]).toBeLessThan(2);
    expect(outside).toBe(2);
    expect(reference.filter(({ share }) => share > 0).length).toBeGreaterThan(20);
  });
});

describe('labels', () => {
  it('keep clear of each other, of the points and of the edges', () => {
    const frame = { left: 0, right: 340, top: 0, bottom: 200 };
    const anchors = ['reference', 'predicted', 'aligned'].map((text, index) => ({
      text,
      x: 150 + 3 * index,
      y: 100 + 2 * index,
    }));
    const boxes = placeLabels(anchors, [], frame).map(({ dx, dy, textAnchor }, index) => {
      const { x, y, text } = anchors[index]!;
      const width = text.length * 6.9;
      const left = x + dx - (textAnchor === 'end' ? width : textAnchor === 'middle' ? width / 2 : 0);
      return { left, right: left + width, top: y + dy - 6, bottom: y + dy + 6 };
    });
    for (const [index, a] of boxes.entries()) {
      expect(a.left).toBeGreaterThanOrEqual(0);
      expect(a.right).toBeLessThanOrEqual(340);
      for (const b of boxes.slice(index + 1)) {
        const apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
        expect(apart).toBe(true);
      }
    }
  });

  it('turn away from the edge', () => {
    const frame = { left: 0, right: 340, top: 0, bottom: 200 };
    const [placement] = placeLabels([{ x: 330, y: 100, text: 'predicted' }], [], frame);
    expect(placement!.textAnchor).toBe('end');
  });
});

describe('training curves', () => {
  it('take the steps that logged a value, and keep the mean when thinned', () => {
    const metrics: Metrics[] = [
      { step: 5, loss: 1 },
      { step: 10 },
      { loss: 3 },
      { step: 20, loss: Number.NaN },
    ];
    expect(series(metrics, 'loss')).toEqual([
      { step: 5, value: 1 },
      { step: 3, value: 3 },
    ]);
    const points = Array.from({ length: 1000 }, (_, step) => ({ step, value: step % 10 }));
    const fewer = thinned(points);
    expect(fewer.length).toBeLessThanOrEqual(240);
    expect(fewer.reduce((sum, { value }) => sum + value, 0) / fewer.length).toBeCloseTo(4.5, 6);
  });
});

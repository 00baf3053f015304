import { describe, expect, it } from 'vitest';
import { groupAdvantages, leaveOneOutAdvantages } from '../../src/train/advantages.ts';

/** Two prompts of three completions. */
const rewards = Float64Array.of(1, 2, 6, -1, -1, 2);
const kl = Float64Array.of(0.5, 0, 1, -0.2, 0.4, 0);

/** √(Σ (x − mean)² / (n − 1)), as torch.std. */
function std(values: number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
}

describe('groupAdvantages', () => {
  it('compares each completion with the mean of its prompt', () => {
    expect([...groupAdvantages(rewards, 3, 'none').values]).toEqual([-2, -1, 3, -1, -1, 2]);
  });

  it('divides by the deviation of the prompt or of all, Bessel-corrected and kept from 0', () => {
    const [first, second] = [std([1, 2, 6]), std([-1, -1, 2])];
    const group = [-2, -1, 3]
      .map((x) => x / (first + 1e-4))
      .concat([-1, -1, 2].map((x) => x / (second + 1e-4)));
    expect([...groupAdvantages(rewards, 3, 'group').values]).toEqual(group.map((x) => expect.closeTo(x, 12)));
    const all = [-2, -1, 3, -1, -1, 2].map((x) => x / (std([...rewards]) + 1e-4));
    expect([...groupAdvantages(rewards, 3, 'batch').values]).toEqual(all.map((x) => expect.closeTo(x, 12)));
  });

  it('gives prompts whose completions are all alike nothing, and counts them', () => {
    const { values, fracZeroStd } = groupAdvantages(Float64Array.of(4, 4, 1, 3), 2, 'group');
    expect(values[0]).toBe(0);
    expect(fracZeroStd).toBe(0.5);
  });
});

describe('leaveOneOutAdvantages', () => {
  it('compares each completion, less its divergence, with the mean of the others', () => {
    const { values } = leaveOneOutAdvantages(rewards, kl, 3, { beta: 2, normalize: false });
    // 0, 2, 4 and −0.6, −1.8, 2.
    const expected = [0 - 3, 2 - 2, 4 - 1, -0.6 - 0.1, -1.8 - 0.7, 2 + 1.2];
    expect([...values]).toEqual(expected.map((x) => expect.closeTo(x, 12)));
  });

  it('clips rewards before the penalty, and normalises over all', () => {
    const clipRange = [-0.5, 3] as const;
    const { values } = leaveOneOutAdvantages(rewards, kl, 3, { beta: 2, clipRange, normalize: false });
    // 0, 2, 1 and −0.1, −1.3, 2.
    const plain = [0 - 1.5, 2 - 0.5, 1 - 1, -0.1 - 0.35, -1.3 - 0.95, 2 + 0.7];
    expect([...values]).toEqual(plain.map((x) => expect.closeTo(x, 12)));
    const centre = plain.reduce((sum, x) => sum + x, 0) / 6;
    const normalized = leaveOneOutAdvantages(rewards, kl, 3, { beta: 2, clipRange, normalize: true });
    expect([...normalized.values]).toEqual(
      plain.map((x) => expect.closeTo((x - centre) / (std(plain) + 1e-4), 12)),
    );
  });
});

import { describe, expect, test } from 'vitest';
import {
  type DualProblem,
  loadWasm,
  type ScoreErrors,
  stabilityWith,
  UserError,
} from '../../src/dual/index.ts';
import { extremes } from '../../src/dual/tilt.ts';
import { keyOf, Random } from '../../src/random.ts';
import { generateScores } from '../support/score_generator.ts';
import { moved, pull, randomShift } from './errors.ts';
import { optimum } from './population.ts';

const kernels = await loadWasm();

const two = { ...generateScores(51, 120, 20, 2), beta: 2, thresholds: [0.2, 0.1] };
const one = { ...generateScores(52, 150, 24, 1), beta: 0.5, thresholds: [0.4] };
const CASES: [string, DualProblem, ScoreErrors][] = [
  ['rewards, one constraint', one, { reward: 0.2, safety: [0] }],
  ['safety, one constraint', one, { reward: 0, safety: [0.1] }],
  ['both, a small β', { ...one, beta: 0.05 }, { reward: 0.1, safety: [0.05] }],
  ['a margin', { ...one, relative: [true] }, { reward: 0.1, safety: [0.05] }],
  ['rewards, two constraints', two, { reward: 0.05, safety: [0, 0] }],
  ['all scores, two constraints', two, { reward: 0.03, safety: [0.02, 0.01] }],
  ['two margins', { ...two, relative: [true, true] }, { reward: 0.02, safety: [0.01, 0.01] }],
  ['a constraint that does not bind', { ...two, thresholds: [0.2, -9] }, { reward: 0.03, safety: [0.02, 0] }],
];

describe.each(CASES)('%s', (_, problem, errors) => {
  const { lambda, lambdaIntervals, firstOrder } = stabilityWith(kernels, problem, errors);
  const holds = (other: readonly number[]) => {
    for (const [j, [low, high]] of lambdaIntervals.entries()) {
      expect(Number.isFinite(high)).toBe(true);
      expect(other[j]).toBeGreaterThanOrEqual(low - 1e-9);
      expect(other[j]).toBeLessThanOrEqual(high + 1e-9);
    }
  };

  test('no random errors move λ* out of the interval', () => {
    for (let seed = 0; seed < 60; seed++) {
      holds(optimum(kernels, moved(problem, errors, randomShift(seed, seed % 2 === 0))).lambda);
    }
  });

  test('nor do errors that pull one way, which go a good part of it', () => {
    const m = problem.thresholds.length;
    let most = 0;
    for (const sign of [1, -1]) {
      for (let axis = 0; axis < m; axis++) {
        const other = optimum(kernels, moved(problem, errors, pull(problem, lambda, axis, sign))).lambda;
        holds(other);
        const [low, high] = lambdaIntervals[axis];
        const reach = sign > 0 ? high - lambda[axis] : lambda[axis] - low;
        if (reach > 0) most = Math.max(most, Math.abs(other[axis] - lambda[axis]) / reach);
      }
    }
    expect(most).toBeGreaterThan(m === 1 && !problem.relative ? 0.5 : 0.08);
    expect(firstOrder.every((value) => value > 0)).toBe(true);
  });
});

test('with one constraint each end is reached: errors in the reward alone can move λ* all the way', () => {
  const errors = { reward: 0.2, safety: [0] };
  const { lambdaIntervals } = stabilityWith(kernels, one, errors);
  for (const [end, sign] of [
    [lambdaIntervals[0][1], -1],
    [lambdaIntervals[0][0], 1],
  ]) {
    // On each prompt some cut of the safety is the worst at that λ: rewards on one side of it up, on the other down.
    const K = one.responses;
    const cuts = Array.from({ length: one.prompts }, (_, n) => {
      const at = Array.from({ length: K }, (_, k) => n * K + k);
      const mean = (cut: number) => {
        const s = at.map((i) => {
          const side = one.safety[i] > cut ? 1 : -1;
          return (one.reward[i] + sign * errors.reward * side + end * one.safety[i]) / one.beta;
        });
        const top = Math.max(...s);
        const e = s.map((x) => Math.exp(x - top));
        return e.reduce((sum, x, k) => sum + x * one.safety[at[k]], 0) / e.reduce((a, b) => a + b);
      };
      const values = at.map((i) => ({ cut: one.safety[i], mean: sign * mean(one.safety[i]) }));
      return values.reduce((best, value) => (value.mean > best.mean ? value : best)).cut;
    });
    const worst = moved(one, errors, (i, j) => {
      if (j >= 0) return 0;
      return one.safety[i] > cuts[Math.floor(i / K)] ? sign : -sign;
    });
    expect(optimum(kernels, worst).lambda[0]).toBeCloseTo(end, 7);
  }
});

test('a mean under errors is the largest over all corners of the errors', () => {
  const random = new Random(keyOf(3, 'corners'));
  for (let trial = 0; trial < 60; trial++) {
    const K = 5;
    const weights = Float64Array.from({ length: K }, () => random.uniform() + 0.05);
    const sum = weights.reduce((a, b) => a + b);
    const policy = weights.map((w) => w / sum);
    const scores = Float64Array.from({ length: K }, () => 2 * random.uniform() - 1);
    const [tilt, error, price] = [random.uniform(), 0.3 * random.uniform(), 2 * random.uniform()];
    const [low, high] = extremes(kernels, policy, scores, K, tilt, error, price);
    let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    // Errors of a score that fights the tilt may be best inside: a grid finds those too, up to its spacing.
    const grid = Array.from({ length: 9 }, (_, i) => (error * (i - 4)) / 4);
    for (let corner = 0; corner < 2 ** K; corner++) {
      for (const e of grid) {
        for (const f of grid) {
          const errors = scores.map((_, k) => (corner & (1 << k) ? e : f));
          for (const flip of [1, -1]) {
            const p = policy.map((w, k) => {
              const side = corner & (1 << k) ? flip : -flip;
              return w * Math.exp(tilt * side + price * errors[k]);
            });
            const mean =
              p.reduce((acc, w, k) => acc + w * (scores[k] + errors[k]), 0) / p.reduce((a, b) => a + b);
            least = Math.min(least, mean);
            most = Math.max(most, mean);
          }
        }
      }
    }
    expect(high).toBeGreaterThanOrEqual(most - 1e-12);
    expect(high - most).toBeLessThan(0.02);
    expect(low).toBeLessThanOrEqual(least + 1e-12);
    expect(least - low).toBeLessThan(0.05);
  }
});

test('small errors: both bounds tend to the first order, which shrinks with them', () => {
  for (const [problem, safety] of [
    [one, [0]],
    [two, [0, 0]],
  ] as const) {
    const at = (reward: number) => stabilityWith(kernels, problem, { reward, safety });
    const tiny = at(1e-7);
    for (const [j, [low, high]] of tiny.lambdaIntervals.entries()) {
      expect((high - low) / 2 / tiny.firstOrder[j]).toBeCloseTo(1, 3);
      expect(at(1e-6).firstOrder[j] / tiny.firstOrder[j]).toBeCloseTo(10, 3);
    }
  }
});

test('no errors, no doubt; errors beyond what the thresholds leave, no bound; bad errors are refused', () => {
  const none = stabilityWith(kernels, one, { reward: 0, safety: [0] });
  expect(none.lambdaIntervals[0][1] - none.lambdaIntervals[0][0]).toBeLessThan(1e-9);
  const { lambdaIntervals } = stabilityWith(kernels, one, { reward: 0.1, safety: [50] });
  expect(lambdaIntervals).toEqual([[0, Number.POSITIVE_INFINITY]]);
  expect(stabilityWith(kernels, two, { reward: 9, safety: [0, 0] }).lambdaIntervals[0][1]).toBe(
    Number.POSITIVE_INFINITY,
  );
  for (const errors of [
    { reward: -1, safety: [0] },
    { reward: Number.NaN, safety: [0] },
    { reward: 0, safety: [] },
  ]) {
    expect(() => stabilityWith(kernels, one, errors)).toThrow(UserError);
  }
  expect(() => stabilityWith(kernels, { ...one, thresholds: [60] }, { reward: 0, safety: [0] })).toThrow(
    /infeasible/,
  );
});

test('weights count as they do in the dual: doubled responses are responses of weight 2', () => {
  const total = one.reward.length;
  const weights = Float64Array.from({ length: total }, (_, i) => 1 + (i % 2));
  const repeat = (values: Float64Array) =>
    Float64Array.from([...values].flatMap((x, i) => (i % 2 ? [x, x] : [x])));
  const doubled = {
    ...one,
    reward: repeat(one.reward),
    safety: repeat(one.safety),
    responses: one.responses * 1.5,
  };
  const errors = { reward: 0.1, safety: [0.05] };
  const [a] = stabilityWith(kernels, { ...one, weights }, errors).lambdaIntervals;
  const [b] = stabilityWith(kernels, doubled, errors).lambdaIntervals;
  for (const end of [0, 1]) expect(a[end]).toBeCloseTo(b[end], 8);
});

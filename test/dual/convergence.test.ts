import { expect, test } from 'vitest';
import { convergenceWith, loadWasm, type Trace, UserError } from '../../src/dual/index.ts';
import { generateScores } from '../support/score_generator.ts';
import { plainDual } from './plain.ts';
import { optimum } from './population.ts';

const kernels = await loadWasm();
const one = { ...generateScores(61, 100, 24, 1), beta: 0.5, thresholds: [0.4] };
const two = { ...generateScores(62, 100, 24, 2), beta: 1, thresholds: [0.3, 0.2] };

test.each([
  ['one constraint', one],
  ['two constraints', two],
  ['one of them slack', { ...two, thresholds: [0.3, -9] }],
])('descent by 1/L never rises, stays below its bound, and shrinks at its rate: %s', (_, problem) => {
  const { lambda, dual, curvature, gradient, newton } = convergenceWith(kernels, problem, { passes: 3000 });
  expect(lambda).toEqual(optimum(kernels, problem).lambda);
  const [{ step, rate, points }] = gradient;
  expect(step).toBe(1 / curvature.smoothness);
  const distance = (at: readonly number[]) =>
    Math.sqrt(at.reduce((sum, x, j) => sum + (x - lambda[j]) ** 2, 0));
  const first = distance(points[0].lambda);
  for (let k = 1; k < points.length; k++) {
    expect(points[k].gap).toBeLessThanOrEqual(points[k - 1].gap + 1e-14);
    // Beck, First-order methods in optimization, 2017, theorem 10.21.
    expect(points[k].gap).toBeLessThanOrEqual((curvature.smoothness * first * first) / (2 * k) + 1e-14);
  }
  const late = points.findIndex(({ lambda: at }) => distance(at) < 1e-4 * (1 + first));
  expect(late).toBeGreaterThan(0);
  for (let k = late; k + 1 < points.length && distance(points[k].lambda) > 1e-9; k++) {
    expect(distance(points[k + 1].lambda) / distance(points[k].lambda)).toBeLessThan(rate + 1e-3);
  }
  expect(newton.converged).toBe(true);
  expect(newton.points.length).toBeLessThan(15);
  const passes = points.findIndex(({ projectedGradient }) => projectedGradient < 1e-6);
  expect(passes).toBeGreaterThan(newton.points.length);
  for (const { points } of [newton, ...gradient] as Trace[]) {
    expect(points[0].lambda).toEqual([1, 1].slice(0, problem.thresholds.length));
    for (const point of points.filter((_, k) => k % 17 === 0)) {
      expect(point.gap).toBeCloseTo(plainDual(problem, point.lambda).value - dual, 10);
    }
  }
});

test('with one constraint the error in the end shrinks at the rate itself, for any step', () => {
  const { lambda, gradient, curvature } = convergenceWith(kernels, one, { steps: [0.05, 0.3], passes: 3000 });
  expect(gradient.map(({ step }) => step)).toEqual([1 / curvature.smoothness, 0.05, 0.3]);
  for (const { points, rate } of gradient.filter(({ rate }) => rate < 1)) {
    const errors = points.map(({ lambda: [at] }) => Math.abs(at - lambda[0]));
    const k = errors.findIndex((error) => error < 1e-5);
    expect(errors[k + 1] / errors[k]).toBeCloseTo(rate, 3);
  }
});

test('a step beyond 2/L does not arrive, and says so', () => {
  const { curvature } = optimum(kernels, one);
  const { gradient } = convergenceWith(kernels, one, { steps: [2.5 / curvature.smallest], passes: 200 });
  expect(gradient[1].rate).toBeGreaterThan(1);
  expect(gradient[1].converged).toBe(false);
  expect(gradient[1].points).toHaveLength(201);
});

test('scores that double precision cannot solve for are refused, as by the solver', () => {
  const huge = { ...one, beta: 1, reward: one.reward.map((value) => 1e30 * value) };
  expect(() => convergenceWith(kernels, huge)).toThrow(/beta: 1 is too small/);
});

test('bad requests', () => {
  for (const options of [
    { start: [1, 1] },
    { start: [-1] },
    { steps: [0] },
    { passes: 0 },
    { tolerance: 0 },
  ]) {
    expect(() => convergenceWith(kernels, one, options)).toThrow(UserError);
  }
  expect(() => convergenceWith(kernels, { ...one, thresholds: [60] })).toThrow(/infeasible/);
});

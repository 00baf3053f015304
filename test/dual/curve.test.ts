import { describe, expect, test } from 'vitest';
import {
  alongDirection,
  describePolicies,
  largestThresholdWith,
  loadWasm,
  paretoGrid,
  safetyCurveWith,
  solvePathWith,
  solveWith,
  tradeOffCurve,
  UserError,
} from '../../src/dual/index.ts';
import { generateScores } from '../support/score_generator.ts';
import { plainDual } from './plain.ts';

const kernels = await loadWasm();
const small = generateScores(21, 90, 24, 1);
const large = generateScores(22, 600, 48, 1);

describe.each([
  ['a small table', small, 0.5],
  ['a large table at a small β', large, 0.05],
  ['a large table at a large β', large, 2],
])('the curve of %s', (_, table, beta) => {
  const curve = safetyCurveWith(kernels, table, beta, { points: 40 });

  test('every point is the solution at its own threshold', () => {
    for (const point of [0, 1, 7, 20, 33, curve.points.length - 1].map((i) => curve.points[i])) {
      const solution = solveWith(kernels, { ...table, beta, thresholds: [point.safety] });
      if (solution.status !== 'optimal') throw new Error(`expected an optimum, got ${solution.status}`);
      expect(Math.abs(solution.lambda[0] - point.lambda)).toBeLessThan(1e-8 * (1 + point.lambda));
      expect(Math.abs(solution.dual - point.dual)).toBeLessThan(1e-11);
      expect(Math.abs(solution.expected.reward - point.reward)).toBeLessThan(1e-7);
      expect(Math.abs(solution.kl - point.kl)).toBeLessThan(1e-7 / beta);
      expect(Math.abs(solution.ess.median - point.essMedian)).toBeLessThan(1e-6);
    }
  });

  test('it covers the feasible range evenly and in order', () => {
    const { points, free, reachable } = curve;
    expect(points.length).toBe(40);
    expect(points[0]).toMatchObject({ lambda: 0, safety: free });
    expect(points[39].safety).toBeGreaterThan(free + 0.97 * (reachable - free));
    const spacing = (points[39].safety - free) / 39;
    for (let i = 1; i < 40; i++) {
      const step = points[i].safety - points[i - 1].safety;
      expect(step).toBeGreaterThan(0.4 * spacing);
      expect(step).toBeLessThan(1.6 * spacing);
      expect(points[i].lambda).toBeGreaterThan(points[i - 1].lambda);
    }
  });
});

test('where a small β picks one response of each prompt, E[g] has steps, and the curve its points on them', () => {
  const few = generateScores(23, 5, 6, 1);
  const beta = 1e-4;
  const { points, free, reachable } = safetyCurveWith(kernels, few, beta, { points: 9 });
  expect(points).toHaveLength(9);
  expect(points[8].safety).toBeGreaterThan(free + 0.9 * (reachable - free));
  for (const [i, { safety, reward }] of points.entries()) {
    const solution = solveWith(kernels, { ...few, beta, thresholds: [safety] });
    if (solution.status !== 'optimal') throw new Error(`expected an optimum, got ${solution.status}`);
    expect(solution.expected.reward).toBeCloseTo(reward, 6);
    if (i > 0) expect(safety).toBeGreaterThan(points[i - 1].safety);
  }
});

test('a curve between given thresholds, and one of a constant score', () => {
  const part = safetyCurveWith(kernels, small, 0.5, { points: 5, from: 0, to: 0.4 });
  expect(part.points[0].safety).toBeCloseTo(0, 9);
  expect(part.points[4].safety).toBeCloseTo(0.4, 1);
  const constant = { ...small, safety: small.safety.map(() => 3) };
  expect(safetyCurveWith(kernels, constant, 0.5).points).toHaveLength(1);
  expect(() => safetyCurveWith(kernels, generateScores(1, 5, 4, 2), 1)).toThrow(UserError);
  expect(() => safetyCurveWith(kernels, small, 1, { points: 1 })).toThrow(UserError);
});

test('policies described at given λ are those of the definition', async () => {
  const table = generateScores(23, 40, 15, 2);
  const lambdas = [
    [0, 0],
    [0.3, 0.2],
    [2, 0],
  ];
  const points = await describePolicies(table, 0.7, lambdas);
  for (const [i, point] of points.entries()) {
    const plain = plainDual({ ...table, beta: 0.7, thresholds: [0, 0] }, lambdas[i]);
    expect(point.value).toBeCloseTo(plain.value, 11);
    expect(point.reward).toBeCloseTo(plain.reward, 11);
    expect(point.kl).toBeCloseTo(plain.kl, 11);
    for (const j of [0, 1]) expect(point.safety[j]).toBeCloseTo(plain.gradient[j], 11);
  }
  const [at] = await tradeOffCurve(small, 0.5, 0.2, [0.4]);
  expect(at.dual).toBeCloseTo(plainDual({ ...small, beta: 0.5, thresholds: [0.2] }, [0.4]).value, 11);
});

describe('the largest threshold within a budget', () => {
  const solve = (threshold: number) => {
    const solution = solveWith(kernels, { ...small, beta: 0.5, thresholds: [threshold] });
    if (solution.status === 'infeasible') throw new Error('expected a solution');
    return solution;
  };

  test('of KL', () => {
    const budget = solve(0.8).kl;
    const point = largestThresholdWith(kernels, small, 0.5, { kl: budget })!;
    expect(point.safety).toBeCloseTo(0.8, 7);
    expect(solve(point.safety + 0.01).kl).toBeGreaterThan(budget);
    expect(largestThresholdWith(kernels, small, 0.5, { kl: 0.01 })).toBeUndefined();
  });

  test('of reward', () => {
    const floor = solve(0.5).expected.reward;
    const point = largestThresholdWith(kernels, small, 0.5, { reward: floor })!;
    expect(point.safety).toBeCloseTo(0.5, 7);
    expect(solve(point.safety + 0.01).expected.reward).toBeLessThan(floor);
    const { reachable } = safetyCurveWith(kernels, small, 0.5, { points: 2 });
    const free = largestThresholdWith(kernels, small, 0.5, { reward: -1e9 })!;
    expect(free.safety).toBeGreaterThan(reachable - 0.2);
  });
});

describe('two constraints', () => {
  const table = generateScores(24, 80, 20, 2);

  test('a Pareto grid holds each pair’s own solution', async () => {
    const first = [-1, 0, 1];
    const second = [-0.5, 0.5, 60];
    const grid = await paretoGrid(table, 0.5, first, second);
    for (const [i, row] of grid.entries()) {
      for (const [j, point] of row.entries()) {
        expect(point.thresholds).toEqual([first[i], second[j]]);
        const alone = solveWith(kernels, { ...table, beta: 0.5, thresholds: [first[i], second[j]] });
        expect(point.status).toBe(alone.status);
        if (point.status === 'infeasible' || alone.status === 'infeasible') continue;
        for (const k of [0, 1]) expect(Math.abs(point.lambda[k] - alone.lambda[k])).toBeLessThan(1e-9);
        expect(point.dual).toBeCloseTo(alone.dual, 11);
        expect(point.kl).toBeCloseTo(alone.kl, 8);
      }
    }
    expect(grid[2][2].status).toBe('infeasible');
  });

  test('a path along a direction', () => {
    const path = alongDirection([0, 0], [1, -0.5], [0, 0.4, 0.8]);
    expect(path[2]).toEqual([0.8, -0.4]);
    const points = solvePathWith(kernels, table, 0.5, path);
    const prices = points.map((point) => (point.status === 'optimal' ? point.lambda : []));
    expect(prices[1][0]).toBeGreaterThan(prices[0][0]);
    expect(prices[2][0]).toBeGreaterThan(prices[1][0]);
  });
});

import { expect, test } from 'vitest';
import {
  type DualProblem,
  type DualSolution,
  evaluateWith,
  loadWasm,
  solveWith,
} from '../../src/dual/index.ts';
import { keyOf, Random } from '../../src/random.ts';
import { generateScores } from '../support/score_generator.ts';
import { plainDual, plainSupport } from './plain.ts';
import { drawProblem, rangesOf } from './problems.ts';

const kernels = await loadWasm();
const SEEDS = Array.from({ length: 600 }, (_, seed) => seed);

function drawLambda(seed: number, problem: DualProblem): number[] {
  const random = new Random(keyOf(seed, 'lambda'));
  return rangesOf(problem).map((range) => (3 * random.uniform()) / range);
}

test('value, gradient and Hessian are those of the definition', () => {
  for (const seed of SEEDS) {
    const problem = drawProblem(seed);
    const lambda = drawLambda(seed, problem);
    const ranges = rangesOf(problem);
    const ours = evaluateWith(kernels, problem, lambda);
    const plain = plainDual(problem, lambda);
    // The scores' rounding, divided by β, is what every exp sees.
    const noise = 1e-12 + 1e-14 / problem.beta;
    expect(Math.abs(ours.value - plain.value)).toBeLessThan(1e-12 * (10 + problem.beta));
    for (const [i, range] of ranges.entries()) {
      expect(Math.abs(ours.gradient[i] - plain.gradient[i]) / range).toBeLessThan(noise);
      for (const [j, other] of ranges.entries()) {
        const difference = Math.abs(ours.hessian[i][j] - plain.hessian[i][j]) * problem.beta;
        expect(difference / range / other).toBeLessThan(noise);
      }
    }
  }
});

test('gradient and Hessian agree with central differences', () => {
  const problem = { ...generateScores(11, 60, 33, 3), beta: 0.7, thresholds: [0.1, -0.4, 0.6] };
  const lambda = [0.3, 0.05, 0.6];
  const { gradient, hessian } = evaluateWith(kernels, problem, lambda);
  const step = 1e-5;
  for (let j = 0; j < 3; j++) {
    const shifted = (sign: number) =>
      evaluateWith(
        kernels,
        problem,
        lambda.map((value, i) => value + (i === j ? sign * step : 0)),
      );
    const [ahead, behind] = [shifted(1), shifted(-1)];
    expect((ahead.value - behind.value) / (2 * step)).toBeCloseTo(gradient[j], 8);
    for (let i = 0; i < 3; i++) {
      expect((ahead.gradient[i] - behind.gradient[i]) / (2 * step)).toBeCloseTo(hessian[i][j], 6);
    }
  }
});

test('the dual is convex along any segment', () => {
  for (const seed of SEEDS.slice(0, 200)) {
    const problem = drawProblem(seed);
    const [a, b] = [drawLambda(seed, problem), drawLambda(seed + 1000, problem)];
    const values = [0, 0.25, 0.5, 0.75, 1].map(
      (t) =>
        evaluateWith(
          kernels,
          problem,
          a.map((x, j) => (1 - t) * x + t * b[j]),
        ).value,
    );
    const tolerance = 1e-12 * (10 + problem.beta);
    for (let i = 1; i < 4; i++) {
      expect(values[i]).toBeLessThanOrEqual((values[i - 1] + values[i + 1]) / 2 + tolerance);
    }
  }
});

/** Largest violation of the optimality conditions, in parts of each score's range, by the plain definition. */
function violation(problem: DualProblem, lambda: readonly number[]): number {
  const ranges = rangesOf(problem);
  const { gradient } = plainDual(problem, lambda);
  return Math.max(...gradient.map((g, j) => (lambda[j] > 0 ? Math.abs(g) : Math.max(0, -g)) / ranges[j]));
}

test('random problems: optimality conditions or a true certificate, never NaN, within the limit on passes', () => {
  const seen = new Set<string>();
  for (const seed of SEEDS) {
    const problem = drawProblem(seed);
    const solution = solveWith(kernels, problem);
    seen.add(solution.status);
    expect(numbersIn(solution).some(Number.isNaN)).toBe(false);
    if (solution.status === 'infeasible') {
      const { direction, value } = solution.certificate;
      expect(direction.every((u) => u >= 0)).toBe(true);
      expect(direction.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
      const support = plainSupport(problem, direction);
      expect(support).toBeLessThan(0);
      expect(Math.abs(support - value)).toBeLessThan(
        1e-9 * Math.abs(value) + 1e-12 * Math.max(...rangesOf(problem)),
      );
      continue;
    }
    expect(solution.iterations).toBeLessThan(300);
    if (solution.status === 'nearly-infeasible') continue;
    const size = solution.lambda.reduce((sum, value, j) => sum + value * rangesOf(problem)[j], 10);
    expect(violation(problem, solution.lambda)).toBeLessThan(1e-9 + (4e-14 * size) / problem.beta);
  }
  expect([...seen]).toEqual(expect.arrayContaining(['optimal', 'infeasible']));
});

function numbersIn(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersIn) : [];
}

const base = { ...generateScores(12, 80, 40, 2), beta: 0.4, thresholds: [0.2, 0.1] };

function solved(problem: DualProblem): Extract<DualSolution, { lambda: unknown }> {
  const solution = solveWith(kernels, problem);
  if (solution.status === 'infeasible') throw new Error('expected a solution');
  return solution;
}

test('scaling by powers of two changes no bit of λ', () => {
  const { lambda } = solved(base);
  const scaled = solved({
    ...base,
    reward: base.reward.map((x) => x * 8),
    safety: base.safety.map((x) => x / 4),
    thresholds: base.thresholds.map((x) => x / 4),
    beta: base.beta * 8,
  });
  expect(scaled.lambda.map((x) => x / 32)).toEqual(lambda);
});

test('shifts of the reward on any prompt, and of a safety score with its threshold, leave λ alone', () => {
  const { lambda, dual } = solved(base);
  const shifted = solved({
    ...base,
    reward: base.reward.map((x, i) => x + 100 * Math.floor(i / 40)),
    safety: base.safety.map((x, i) => (i < 80 * 40 ? x + 1000 : x)),
    thresholds: [base.thresholds[0] + 1000, base.thresholds[1]],
  });
  for (const [j, value] of lambda.entries()) expect(Math.abs(shifted.lambda[j] - value)).toBeLessThan(1e-11);
  expect(Math.abs(shifted.dual - dual - 100 * 39.5)).toBeLessThan(1e-10);
});

test('the order of prompts and responses matters to rounding alone', () => {
  const { lambda } = solved(base);
  const reversed = solved({
    ...base,
    reward: base.reward.slice().reverse(),
    safety: Float64Array.from([
      ...base.safety.slice(0, 3200).reverse(),
      ...base.safety.slice(3200).reverse(),
    ]),
  });
  for (const [j, value] of lambda.entries()) expect(Math.abs(reversed.lambda[j] - value)).toBeLessThan(1e-12);
});

test('a ragged table with equal rows is the even table', () => {
  expect(solved({ ...base, responses: new Uint32Array(80).fill(40) })).toEqual(solved(base));
});

test('a single-precision table is its double-precision copy', () => {
  const reward = Float32Array.from(base.reward);
  const safety = Float32Array.from(base.safety);
  expect(solved({ ...base, reward, safety })).toEqual(
    solved({ ...base, reward: Float64Array.from(reward), safety: Float64Array.from(safety) }),
  );
});

test('λ is the price of safety: the derivative of the optimal value in the threshold', () => {
  const step = 1e-4;
  const { lambda } = solved(base);
  const at = (shift: number) =>
    solved({ ...base, thresholds: [base.thresholds[0] + shift, base.thresholds[1]] }).dual;
  expect((at(step) - at(-step)) / (2 * step)).toBeCloseTo(-lambda[0], 6);
});

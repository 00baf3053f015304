import { describe, expect, test } from 'vitest';
import {
  bootstrapWith,
  type DualProblem,
  describePoliciesWith,
  loadWasm,
  planWith,
  safeThresholdsWith,
  solveWith,
  UserError,
} from '../../src/dual/index.ts';
import { normalQuantile } from '../../src/dual/normal.ts';
import { keyOf, philox } from '../../src/random.ts';
import { generateScores } from '../support/score_generator.ts';
import { beta, K, optimum, populationOf, sample } from './population.ts';

const kernels = await loadWasm();

test('the normal quantile has the published digits', () => {
  expect(normalQuantile(kernels, 0.5)).toBe(0);
  expect(normalQuantile(kernels, 0.975)).toBeCloseTo(1.959963984540054, 14);
  expect(normalQuantile(kernels, 0.25)).toBeCloseTo(-0.6744897501960817, 14);
  expect(normalQuantile(kernels, 0.001)).toBeCloseTo(-3.090232306167813, 13);
  expect(normalQuantile(kernels, 1e-20)).toBeCloseTo(-9.26234008979841, 12);
});

test('resamples are those of the seeded generator, in WebAssembly as in TypeScript', () => {
  const { exports } = kernels;
  const rows = 1001;
  const at = exports.mark();
  const pointer = exports.allocate(8 * rows);
  const key = keyOf(5, 'bootstrap');
  exports.drawTimes(pointer, rows, key[0], key[1], 3);
  const times = new Float64Array(exports.memory.buffer, pointer, rows).slice();
  exports.release(at);
  const expected = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    const word = philox(key, [3, 0, i >> 2, 0])[i & 3];
    expected[Number((BigInt(word) * BigInt(rows)) >> 32n)]++;
  }
  expect(times).toEqual(expected);
});

describe('bootstrap', () => {
  const problem = sample(300, 1, 2);

  test('the same seed gives the same intervals, another seed others', () => {
    const once = bootstrapWith(kernels, problem, { replicates: 200, seed: 4 });
    expect(bootstrapWith(kernels, problem, { replicates: 200, seed: 4 })).toEqual(once);
    expect(bootstrapWith(kernels, problem, { replicates: 200, seed: 5 }).lambda).not.toEqual(once.lambda);
  });

  test('its intervals agree with the delta method', () => {
    const { lambda, lambdaIntervals } = optimum(kernels, problem);
    const bootstrap = bootstrapWith(kernels, problem, { replicates: 2000 });
    for (const [j, value] of lambda.entries()) {
      const [low, high] = bootstrap.lambda[j];
      const width = lambdaIntervals[j][1] - lambdaIntervals[j][0];
      expect((high - low) / width).toBeGreaterThan(0.85);
      expect((high - low) / width).toBeLessThan(1.2);
      expect(low).toBeLessThan(value);
      expect(high).toBeGreaterThan(value);
    }
  });

  test('a replicate is the problem with the prompts drawn', () => {
    // Two replicates of three: their extremes are two of the three solutions.
    const small = sample(40, 2, 1);
    const key = keyOf(9, 'bootstrap');
    const solutions = [0, 1].map((replicate) => {
      const rows = Array.from({ length: 40 }, (_, i) => {
        const word = philox(key, [replicate, 0, i >> 2, 0])[i & 3];
        return Number((BigInt(word) * 40n) >> 32n);
      });
      const pick = (values: DualProblem['reward']) =>
        Float64Array.from(rows.flatMap((n) => [...values.subarray(n * K, (n + 1) * K)]));
      return optimum(kernels, { ...small, reward: pick(small.reward), safety: pick(small.safety) });
    });
    const level = 1 - 1e-12;
    const { lambda, dual } = bootstrapWith(kernels, small, { replicates: 2, seed: 9, level });
    const prices = solutions.map((solution) => solution.lambda[0]).sort((a, b) => a - b);
    expect(lambda[0][0]).toBeCloseTo(prices[0], 8);
    expect(lambda[0][1]).toBeCloseTo(prices[1], 8);
    expect(dual[0]).toBeCloseTo(Math.min(...solutions.map((solution) => solution.dual)), 9);
  });

  test('on large tables one Newton step stands for the solution, off by little of the width', () => {
    const large = sample(6000, 3, 2);
    const solved = bootstrapWith(kernels, large, { replicates: 300 });
    const stepped = bootstrapWith(kernels, large, { replicates: 900 });
    for (const j of [0, 1]) {
      const width = solved.lambda[j][1] - solved.lambda[j][0];
      for (const end of [0, 1]) {
        expect(Math.abs(solved.lambda[j][end] - stepped.lambda[j][end])).toBeLessThan(0.2 * width);
      }
    }
  });

  test('a margin over the sample’s own mean is known better than a fixed threshold', () => {
    const fixed = bootstrapWith(kernels, problem, { replicates: 500 });
    const margin = bootstrapWith(kernels, { ...problem, relative: [true, true] }, { replicates: 500 });
    const width = ([low, high]: readonly [number, number]) => high - low;
    for (const j of [0, 1]) expect(width(margin.lambda[j])).toBeLessThan(0.8 * width(fixed.lambda[j]));
    const delta = optimum(kernels, { ...problem, relative: [true, true] }).lambdaIntervals;
    for (const j of [0, 1]) expect(width(margin.lambda[j]) / width(delta[j])).toBeCloseTo(1, 0);
  });

  test('replicates out of reach make the upper end infinite and are counted', () => {
    const { reachable } = solveWith(kernels, problem);
    const edge = { ...problem, thresholds: [reachable[0] - 0.02, -3] };
    const { infeasible, lambda } = bootstrapWith(kernels, edge, { replicates: 100 });
    expect(infeasible).toBeGreaterThan(10);
    expect(lambda[0][1]).toBe(Number.POSITIVE_INFINITY);
    const beyond = { ...problem, thresholds: [reachable[0] + 1, 0] };
    expect(() => bootstrapWith(kernels, beyond)).toThrow(UserError);
  });
});

describe('safe thresholds', () => {
  test.each([
    [1, 0.1],
    [2, 0.1],
  ])('%d constraint(s): all hold on all prompts with probability 1 − δ', (constraints, delta) => {
    const whole = populationOf(constraints);
    const trials = 200;
    let failures = 0;
    let plainFailures = 0;
    for (let trial = 0; trial < trials; trial++) {
      const problem = sample(200, 1000 + trial, constraints);
      const { solution } = safeThresholdsWith(kernels, problem, delta);
      if (solution.status !== 'optimal') throw new Error('expected an optimum');
      const policies = [solution.lambda, optimum(kernels, problem).lambda];
      const [safe, plain] = describePoliciesWith(kernels, whole, beta, policies);
      const fails = (safety: readonly number[]) => safety.some((value, j) => value < whole.thresholds[j]);
      if (fails(safe.safety)) failures++;
      if (fails(plain.safety)) plainFailures++;
    }
    // Without tightening, a constraint fails on about half of the samples.
    expect(plainFailures / trials).toBeGreaterThan(0.35);
    expect(failures / trials).toBeLessThan(delta + 4 * Math.sqrt((delta * (1 - delta)) / trials));
    expect(failures / trials).toBeGreaterThan(0);
  });

  test('bad requests', () => {
    expect(() => safeThresholdsWith(kernels, sample(20, 1, 1), 0.7)).toThrow(UserError);
    const far = { ...sample(50, 1, 1), thresholds: [60] };
    expect(safeThresholdsWith(kernels, far, 0.05).solution.status).toBe('infeasible');
  });
});

describe('plan', () => {
  const table = generateScores(41, 400, 64, 1);
  const problem: DualProblem = { ...table, beta: 2, thresholds: [0] };
  const plan = planWith(kernels, problem, { target: 0.02, seed: 3 });

  test('fewer prompts spread λ as 1/√N', () => {
    expect(plan.prompts.map(({ size }) => size)).toEqual([50, 100, 200]);
    const [eighth, , half] = plan.prompts;
    expect(eighth.deviation![0] / half.deviation![0]).toBeGreaterThan(1.3);
    const [whole] = plan.halfWidth;
    expect(plan.target!.prompts).toBe(Math.ceil(400 * (whole / 0.02) ** 2));
    const enlarged = optimum(kernels, { ...problem, ...generateScores(41, 1600, 64, 1) });
    const width = enlarged.lambdaIntervals[0][1] - enlarged.lambda[0];
    expect(whole / width).toBeGreaterThan(1.6);
    expect(whole / width).toBeLessThan(2.5);
  });

  test('fewer responses move λ, and the trend foretells more of them', () => {
    expect(plan.responses.map(({ size }) => size)).toEqual([8, 16, 32]);
    const means = plan.responses.map(({ mean }) => mean![0]);
    expect(means[0]).toBeGreaterThan(means[1]);
    expect(means[1]).toBeGreaterThan(means[2]);
    const more = optimum(kernels, { ...problem, ...generateScores(41, 400, 1024, 1) }).lambda[0];
    const foretold = plan.lambda[0] + plan.bias[0]!;
    expect(Math.abs(foretold - more)).toBeLessThan(0.5 * Math.abs(plan.lambda[0] - more) + 0.02);
  });

  test('the same seed gives the same plan; margins follow each subset’s mean', () => {
    expect(planWith(kernels, problem, { target: 0.02, seed: 3 })).toEqual(plan);
    const margin = planWith(kernels, { ...problem, relative: [true] }, { seed: 3 });
    expect(margin.prompts[0].deviation![0]).toBeLessThan(plan.prompts[0].deviation![0]);
    expect(margin.target).toBeUndefined();
  });

  test('subsets out of reach are counted and left out', () => {
    const { reachable } = solveWith(kernels, problem);
    const edge = planWith(kernels, { ...problem, thresholds: [reachable[0] - 0.3] }, { seed: 1 });
    expect(edge.responses[0]).toEqual({ size: 8, infeasible: 16 });
    expect(edge.bias).toEqual([undefined]);
  });

  test('bad requests', () => {
    expect(() => planWith(kernels, problem, { target: 0 })).toThrow(UserError);
    expect(() => planWith(kernels, { ...problem, thresholds: [60] })).toThrow(UserError);
  });
});

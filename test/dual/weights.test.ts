import { describe, expect, test } from 'vitest';
import {
  bootstrapWith,
  type DualProblem,
  type DualSolution,
  evaluateWith,
  largestThresholdWith,
  loadWasm,
  planWith,
  safeThresholdsWith,
  safetyCurveWith,
  solvePathWith,
  solveWith,
  thresholdsOf,
  UserError,
} from '../../src/dual/index.ts';
import { responsesOf } from '../../src/dual/problem.ts';
import { keyOf, Random } from '../../src/random.ts';
import { generateScores } from '../support/score_generator.ts';

const kernels = await loadWasm();

/** A problem with whole weights from 0 to 4, every prompt with some response of weight 1 or more. */
function weighted(seed: number, N: number, K: number, m: number, beta: number): DualProblem {
  const random = new Random(keyOf(seed, 'weights'));
  const weights = Float64Array.from({ length: N * K }, (_, i) => (i % K === 0 ? 1 : 0) + random.below(4));
  const thresholds = Array.from({ length: m }, (_, j) => (m > 3 ? -0.4 : 0.5) - 0.2 * j);
  return { ...generateScores(seed, N, K, m), weights, beta, thresholds };
}

/** The same with each response as often as its weight says: what weights mean. */
function repeated({ weights, ...problem }: DualProblem): DualProblem {
  const { reward, safety, prompts } = problem;
  const copies: number[] = [];
  const responses = new Uint32Array(prompts);
  let at = 0;
  for (let n = 0; n < prompts; n++) {
    for (let k = 0; k < responsesOf(problem, n); k++, at++) {
      for (let i = 0; i < (weights?.[at] ?? 1); i++) copies.push(at);
    }
    responses[n] = copies.length - responses.subarray(0, n).reduce((a, b) => a + b, 0);
  }
  const planes = Array.from({ length: safety.length / reward.length }, (_, j) => j * reward.length);
  return {
    ...problem,
    responses,
    reward: Float64Array.from(copies, (i) => reward[i]),
    safety: Float64Array.from(planes.flatMap((first) => copies.map((i) => safety[first + i]))),
  };
}

function expectAlike(actual: unknown, expected: unknown, tolerance: number, path = ''): void {
  if (typeof expected === 'number' && typeof actual === 'number' && Number.isFinite(expected)) {
    expect(Math.abs(actual - expected), path).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(expected)),
    );
  } else if (typeof expected === 'object' && expected !== null) {
    for (const [key, value] of Object.entries(expected)) {
      expectAlike((actual as Record<string, unknown>)[key], value, tolerance, `${path}.${key}`);
    }
  } else expect(actual, path).toEqual(expected);
}

/** What repeating a response changes: how many there are, and how many of them a policy uses. */
function comparable(solution: DualSolution): unknown {
  const { warnings: _, responses: __, ...rest } = solution;
  if (rest.status === 'infeasible') return rest;
  const { iterations: ___, ess: ____, ...values } = rest;
  return values;
}

/** 1/Σp² of each prompt, straight from the definition. */
function plainEss(
  { reward, safety, weights, prompts, ...problem }: DualProblem,
  lambda: readonly number[],
): number[] {
  const out: number[] = [];
  let at = 0;
  for (let n = 0; n < prompts; n++) {
    const K = responsesOf({ reward, safety, prompts, ...problem }, n);
    const s = Array.from({ length: K }, (_, k) =>
      lambda.reduce((sum, price, j) => sum + price * safety[j * reward.length + at + k], reward[at + k]),
    );
    const top = Math.max(...s);
    const p = s.map((x, k) => (weights?.[at + k] ?? 1) * Math.exp((x - top) / problem.beta));
    const total = p.reduce((a, b) => a + b, 0);
    out.push(total ** 2 / p.reduce((sum, x) => sum + x * x, 0));
    at += K;
  }
  return out;
}

describe('a weight of w is as w copies of the response', () => {
  test.each([
    [1, 300, 24, 1, 0.1],
    [2, 1000, 40, 1, 0.5],
    [3, 70, 33, 1, 3],
    [4, 300, 17, 2, 0.3],
    [5, 700, 40, 3, 1],
    [6, 200, 31, 4, 0.02],
  ])('in solve and evaluate (seed %i, %i × %i, m = %i, β = %d)', (seed, N, K, m, beta) => {
    const problem = weighted(seed, N, K, m, beta);
    const copies = repeated(problem);
    const solution = solveWith(kernels, problem);
    expect(solution.status).toBe('optimal');
    expectAlike(comparable(solution), comparable(solveWith(kernels, copies)), 1e-8);
    const lambda = problem.thresholds.map((_, j) => 0.4 + 0.3 * j);
    expectAlike(evaluateWith(kernels, problem, lambda), evaluateWith(kernels, copies, lambda), 1e-10);
    if (solution.status !== 'optimal') return;
    const ess = plainEss(problem, solution.lambda);
    expectAlike(solution.ess.mean, ess.reduce((a, b) => a + b, 0) / N, 1e-8);
  });

  test('in verdicts', () => {
    const problem = weighted(7, 50, 8, 1, 0.1);
    const infeasible = { ...problem, thresholds: [6] };
    expectAlike(
      comparable(solveWith(kernels, infeasible)),
      comparable(solveWith(kernels, repeated(infeasible))),
      1e-12,
    );
    // Only absent responses reach this threshold.
    const { reachable } = solveWith(kernels, problem);
    const whole = solveWith(kernels, { ...problem, weights: undefined }).reachable;
    const between = { ...problem, thresholds: [(reachable[0] + whole[0]) / 2] };
    expect(solveWith(kernels, between).status).toBe('infeasible');
  });

  test('in the curve, a budget and a path', () => {
    const problem = weighted(8, 400, 50, 1, 0.2);
    const copies = repeated(problem);
    const points = (of: DualProblem) =>
      safetyCurveWith(kernels, of, 0.2).points.map(({ essMedian: _, ...point }) => point);
    expectAlike(points(problem), points(copies), 1e-6);
    const reward = points(problem)[50].reward;
    const budget = largestThresholdWith(kernels, problem, 0.2, { reward });
    expectAlike(budget?.reward, reward, 1e-9);
    expectAlike(budget?.lambda, largestThresholdWith(kernels, copies, 0.2, { reward })?.lambda, 1e-8);
    const path = [[0.1], [0.5], [0.9]];
    const lambdas = (of: DualProblem) =>
      solvePathWith(kernels, of, 0.2, path).map((point) => 'lambda' in point && point.lambda);
    expectAlike(lambdas(problem), lambdas(copies), 1e-9);
  });

  test('in bootstrap, safe thresholds and margins', async () => {
    const problem = { ...weighted(9, 400, 30, 2, 0.4), relative: [true, false] };
    const copies = repeated(problem);
    const options = { replicates: 50, seed: 3 };
    expectAlike(bootstrapWith(kernels, problem, options), bootstrapWith(kernels, copies, options), 1e-7);
    const { tightening, thresholds } = safeThresholdsWith(kernels, problem, 0.05);
    const others = safeThresholdsWith(kernels, copies, 0.05);
    expectAlike(
      { tightening, thresholds },
      { tightening: others.tightening, thresholds: others.thresholds },
      1e-8,
    );
    const limits = [{ margin: 0.3 }, { margin: -0.1 }];
    expectAlike(await thresholdsOf(problem, limits), await thresholdsOf(copies, limits), 1e-12);
  });

  test('in a plan, with fewer prompts', () => {
    const problem = { ...weighted(10, 160, 40, 1, 1), thresholds: [-1] };
    const ours = planWith(kernels, problem, { subsets: 4, target: 0.02 });
    const theirs = planWith(kernels, repeated(problem), { subsets: 4, target: 0.02 });
    expectAlike(ours.halfWidth, theirs.halfWidth, 1e-8);
    expectAlike(ours.prompts, theirs.prompts, 1e-8);
    // Subsets of responses keep their weights: more responses come nearer to all of them.
    const off = ours.responses.map(({ mean }) => Math.abs((mean?.[0] ?? Number.NaN) - ours.lambda[0]));
    expect(off[2]).toBeLessThan(off[0]);
  });
});

test('even weights change no bit, of any unit no digit', () => {
  const problem = { ...generateScores(11, 500, 40, 2), beta: 0.3, thresholds: [0.5, 0.1] };
  const plain = solveWith(kernels, problem);
  const even = (weight: number) => ({ ...problem, weights: new Float64Array(500 * 40).fill(weight) });
  expect(solveWith(kernels, even(1))).toEqual(plain);
  expect(solveWith(kernels, even(2 ** 40))).toEqual(plain);
  expectAlike(solveWith(kernels, even(1e-9)), plain, 1e-9);
  const single = { ...problem, weights: new Float32Array(500 * 40).fill(0.25) };
  expect(solveWith(kernels, single)).toEqual(plain);
});

test('weights shift scores by β·log w', () => {
  const { weights = new Float64Array(), ...problem } = weighted(12, 300, 30, 2, 0.4);
  const some = weights.map((weight) => weight + 0.1);
  const shifted = problem.reward.map((reward, i) => reward + 0.4 * Math.log(some[i]));
  const ours = solveWith(kernels, { ...problem, weights: some });
  const theirs = solveWith(kernels, { ...problem, reward: shifted });
  if (ours.status !== 'optimal' || theirs.status !== 'optimal') throw new Error('expected optima');
  expectAlike(ours.lambda, theirs.lambda, 1e-8);
  expectAlike(ours.expected.safety, theirs.expected.safety, 1e-8);
});

test('weights far apart are taken as they are', () => {
  const weights = Float64Array.from({ length: 64 * 20 }, (_, i) => [1e-150, 1e-20, 1, 1e150][i % 4]);
  const problem = { ...generateScores(13, 64, 20, 1), weights, beta: 1, thresholds: [-1] };
  const only = Float64Array.from(weights, (weight) => (weight === 1e150 ? 1 : 0));
  const ours = solveWith(kernels, problem);
  const theirs = solveWith(kernels, { ...problem, weights: only });
  if (ours.status !== 'optimal' || theirs.status !== 'optimal') throw new Error('expected optima');
  expectAlike(ours.lambda, theirs.lambda, 1e-9);
  expectAlike([ours.dual, ours.kl], [theirs.dual, theirs.kl], 1e-9);
});

describe('bad weights are named', () => {
  const problem = { ...generateScores(14, 6, 5, 1), beta: 1, thresholds: [0] };
  const withWeight = (at: number, value: number) => {
    const weights = new Float64Array(30).fill(1);
    weights[at] = value;
    return { ...problem, weights };
  };
  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 1e-200, 1e200])('%d', (value) => {
    const solve = () => solveWith(kernels, withWeight(11, value));
    expect(solve).toThrow(UserError);
    expect(solve).toThrow('response 2 to prompt 3');
    expect(solve).toThrow('weights');
  });
  test('too few', () => {
    expect(() => solveWith(kernels, { ...problem, weights: new Float64Array(7) })).toThrow(
      'expected as many weights as rewards, 30, got 7',
    );
  });
  test('none of a prompt', () => {
    const weights = Float64Array.from({ length: 30 }, (_, i) => (i >= 10 && i < 15 ? 0 : 1));
    expect(() => solveWith(kernels, { ...problem, weights })).toThrow('prompt 3');
  });
  test('a bad score is named where it stands, unless its response is absent', () => {
    const bad = withWeight(2, 0);
    bad.reward[13] = Number.NaN;
    expect(() => solveWith(kernels, bad)).toThrow('response 4 to prompt 3');
    bad.weights[13] = 0;
    expect(solveWith(kernels, bad).status).toBe('optimal');
  });
});

import { describe, expect, test } from 'vitest';
import { type DualProblem, loadWasm, solveWith, UserError } from '../../src/dual/index.ts';
import { generateScores } from '../support/score_generator.ts';

const kernels = await loadWasm();
const floats = (...values: number[]) => Float64Array.from(values);

/** One prompt, or `prompts` of them, with the given rewards and safety scores in full. */
function problem(
  reward: readonly number[],
  safety: readonly number[],
  options: Partial<DualProblem> = {},
): DualProblem {
  const prompts = options.prompts ?? 1;
  return {
    reward: floats(...reward),
    safety: floats(...safety),
    prompts,
    responses: reward.length / prompts,
    beta: 1,
    thresholds: [0],
    ...options,
  };
}

function solve(input: DualProblem) {
  return solveWith(kernels, input);
}

function solved(input: DualProblem) {
  const solution = solve(input);
  if (solution.status === 'infeasible') throw new Error('expected a solution');
  return solution;
}

describe('two responses to one prompt, where λ* is known', () => {
  // Rewards 1 and 0, safety 0 and 1, E[g] ≥ t: p_safe = t, so (λ − 1)/β = log(t / (1 − t)).
  test.each([
    [1, 0.7],
    [0.1, 0.9],
    [1e-4, 0.5],
    [1e-4, 0.999],
    [1e-8, 0.25],
    [1e-12, 0.5],
    [1e4, 0.6],
    [1e12, 0.501],
  ])('β = %d, threshold %d', (beta, threshold) => {
    const { status, lambda } = solved(problem([1, 0], [0, 1], { beta, thresholds: [threshold] }));
    expect(status).toBe('optimal');
    const expected = Math.max(0, 1 + beta * Math.log(threshold / (1 - threshold)));
    expect(Math.abs(lambda[0] - expected)).toBeLessThan(1e-9 * Math.max(1, expected));
  });
});

describe('degenerate scores', () => {
  test('one response a prompt: nothing to choose', () => {
    const { status, lambda, kl, ess, warnings } = solved(problem([1, 2], [1, 1], { prompts: 2 }));
    expect([status, lambda, kl, ess.median]).toEqual(['optimal', [0], 0, 1]);
    expect(warnings[0]).toMatch(/One response/);
    expect(solve(problem([1, 2], [-1, -1], { prompts: 2 }))).toMatchObject({
      status: 'infeasible',
      certificate: { direction: [1], value: -1 },
    });
  });

  test('constant safety at, above and below the threshold', () => {
    const constant = [0.1, 0.1, 0.1, 0.1];
    const at = (threshold: number) =>
      solve(problem([1, 2, 3, 4], constant, { prompts: 2, thresholds: [threshold] }));
    expect(at(0.1)).toMatchObject({ status: 'optimal', lambda: [0] });
    expect(at(0.05)).toMatchObject({ status: 'optimal', lambda: [0] });
    expect(at(0.2)).toMatchObject({ status: 'infeasible' });
  });

  test('constant reward and ties', () => {
    const { lambda } = solved(problem([5, 5, 5, 5], [0, 0, 1, 1], { thresholds: [0.75] }));
    expect(lambda[0]).toBeCloseTo(Math.log(3), 12);
  });

  test('the same constraint twice shares its price', () => {
    const scores = generateScores(3, 50, 20, 1);
    const once = solved({ ...scores, beta: 0.5, thresholds: [0.4] });
    const safety = floats(...scores.safety, ...scores.safety);
    const twice = solved({ ...scores, safety, beta: 0.5, thresholds: [0.4, 0.4] });
    expect(twice.status).toBe('optimal');
    expect(twice.lambda[0] + twice.lambda[1]).toBeCloseTo(once.lambda[0], 9);
    expect(twice.dual).toBeCloseTo(once.dual, 12);
  });

  test('more constraints than responses', () => {
    const { status } = solve(problem([1, 0], [0, 1, 1, 0, 0, 1, 1, 0], { thresholds: [0.3, 0.3, 0.2, 0.2] }));
    expect(status).toBe('optimal');
  });
});

describe('the edge of the reachable', () => {
  const scores = generateScores(8, 40, 16, 1);
  const { reachable } = solve({ ...scores, beta: 0.1, thresholds: [0] });

  test('well inside, at the edge, and beyond', () => {
    const status = (threshold: number) => solve({ ...scores, beta: 0.1, thresholds: [threshold] }).status;
    expect(status(reachable[0] - 0.01)).toBe('optimal');
    expect(status(reachable[0])).toBe('nearly-infeasible');
    expect(status(reachable[0] + 1e-6)).toBe('infeasible');
  });

  test('a nearly infeasible answer shows a policy at the edge', () => {
    const { expected, lambda, warnings } = solved({ ...scores, beta: 0.1, thresholds: [reachable[0]] });
    expect(expected.safety[0]).toBeCloseTo(reachable[0], 6);
    expect(Number.isFinite(lambda[0])).toBe(true);
    expect(warnings[0]).toMatch(/edge/);
  });

  test('two constraints, each reachable, not both', () => {
    // Every response is safe in one sense only.
    const both = problem([0, 0, 1, 1], [1, 0, 1, 0, 0, 1, 0, 1], { prompts: 2, thresholds: [0.6, 0.6] });
    const solution = solve(both);
    if (solution.status !== 'infeasible') throw new Error('expected infeasible');
    expect(solution.certificate.direction[0]).toBeCloseTo(0.5, 1);
    expect(solution.certificate.value).toBeLessThan(-0.05);
    // At the edge the optimum is attained: both prices may grow together without effect.
    expect(solved({ ...both, thresholds: [0.5, 0.5] })).toMatchObject({
      status: 'optimal',
      expected: { safety: [0.5, 0.5] },
    });
    expect(solve({ ...both, thresholds: [0.6, 0.3] }).status).toBe('optimal');
  });
});

describe('extreme sizes', () => {
  test.each([1e30, 1e-30, 1e90, 1e-90])('safety scores in units of %d', (unit) => {
    const scores = generateScores(9, 30, 12, 2);
    const thresholds = [0.3, -0.2];
    const { lambda } = solved({ ...scores, beta: 0.5, thresholds });
    const scaled = solved({
      ...scores,
      safety: scores.safety.map((x) => x * unit),
      beta: 0.5,
      thresholds: thresholds.map((x) => x * unit),
    });
    for (const [j, value] of lambda.entries()) expect((scaled.lambda[j] * unit) / value).toBeCloseTo(1, 9);
  });

  test.each([1e-11, 1e11])('rewards and β in units of %d', (unit) => {
    const scores = generateScores(9, 30, 12, 2);
    const thresholds = [0.3, -0.2];
    const { lambda } = solved({ ...scores, beta: 2, thresholds });
    const reward = scores.reward.map((x) => x * unit);
    const scaled = solved({ ...scores, reward, beta: 2 * unit, thresholds });
    for (const [j, value] of lambda.entries()) expect(scaled.lambda[j] / unit / value).toBeCloseTo(1, 9);
  });

  test('a reward of ±1e30 that cannot be weighed against β = 1', () => {
    const input = problem([1e30, -1e30, 0, 1], [0, 1, 1, 0], { thresholds: [0.5] });
    expect(() => solve(input)).toThrow(/beta: 1 is too small/);
  });

  test('one prompt with rewards of ±1e30 among ordinary prompts', () => {
    const scores = generateScores(9, 30, 12, 1);
    const { lambda } = solved({ ...scores, beta: 0.5, thresholds: [0.3] });
    const reward = scores.reward.slice();
    reward[0] = 1e30;
    reward[1] = -1e30;
    const { status, lambda: other, gradient } = solved({ ...scores, reward, beta: 0.5, thresholds: [0.3] });
    expect(status).toBe('optimal');
    expect(Math.abs(gradient[0])).toBeLessThan(1e-9);
    expect(other[0] / lambda[0]).toBeGreaterThan(0.5);
    expect(other[0] / lambda[0]).toBeLessThan(2);
  });

  test('subnormal rewards count as equal', () => {
    const { lambda } = solved(problem([5e-324, 0], [0, 1], { thresholds: [0.75] }));
    expect(lambda[0]).toBeCloseTo(Math.log(3), 12);
  });
});

describe('malformed problems are refused', () => {
  const scores = generateScores(9, 3, 4, 1);
  const good: DualProblem = { ...scores, beta: 0.5, thresholds: [0] };
  const withScore = (name: 'reward' | 'safety', value: number) => {
    const values = scores[name].slice();
    values[6] = value;
    return { ...good, [name]: values };
  };
  test.each<[string, DualProblem, RegExp]>([
    ['NaN reward', withScore('reward', Number.NaN), /NaN as reward of response 3 to prompt 2/],
    [
      'infinite safety',
      withScore('safety', Number.POSITIVE_INFINITY),
      /Infinity as safety score 1 of response 3/,
    ],
    ['beyond 1e100', withScore('safety', 1e101), /1e\+101/],
    ['safety that hardly varies', { ...good, safety: scores.safety.map((x) => x * 1e-120) }, /rescale/],
    ['beta 0', { ...good, beta: 0 }, /beta/],
    ['beta NaN', { ...good, beta: Number.NaN }, /beta/],
    ['beta negative', { ...good, beta: -1 }, /beta/],
    ['too few thresholds', { ...good, thresholds: [] }, /thresholds/],
    ['NaN threshold', { ...good, thresholds: [Number.NaN] }, /threshold 1/],
    ['no prompts', { ...good, prompts: 0, reward: floats(), safety: floats() }, /at least one prompt/],
    ['no responses', { ...good, responses: 0 }, /at least one response/],
    ['wrong number of rewards', { ...good, prompts: 4 }, /expected 16 rewards/],
    ['wrong number of safety scores', { ...good, safety: scores.safety.subarray(1) }, /safety/],
    ['an empty row', { ...good, responses: Uint32Array.of(4, 0, 8) }, /prompt 2/],
  ])('%s', (_, input, message) => {
    expect(() => solve(input)).toThrow(UserError);
    expect(() => solve(input)).toThrow(message);
  });
});

import { expect, test } from 'vitest';
import {
  bootstrapWith,
  type DualProblem,
  describePoliciesWith,
  type Interval,
  loadWasm,
  type Solved,
  solveWith,
} from '../../src/dual/index.ts';
import { generateScores } from '../support/score_generator.ts';
import { beta, K, optimum, populationOf, sample } from './population.ts';

const kernels = await loadWasm();
const width = ([low, high]: Interval) => high - low;

/** λ, and what the optimum achieves, in one list; and the intervals of the same in the same order. */
const achieved = ({ lambda, dual, expected, kl }: Solved) => [
  ...lambda,
  dual,
  expected.reward,
  ...expected.safety,
  kl,
];
const intervalsOf = ({ lambdaIntervals, intervals: { optimum } }: Solved) => [
  ...lambdaIntervals,
  optimum.dual,
  optimum.reward,
  ...optimum.safety,
  optimum.kl,
];

function without(problem: DualProblem, prompt: number): DualProblem {
  const { prompts, reward, safety } = problem;
  const keep = (values: DualProblem['reward']) =>
    Float64Array.from(values).filter((_, i) => Math.floor(i / K) % prompts !== prompt);
  return { ...problem, prompts: prompts - 1, reward: keep(reward), safety: keep(safety) };
}

test.each([
  ['thresholds', [false, false]],
  ['margins', [true, true]],
  ['one of each', [false, true]],
])('the delta method agrees with leaving out each prompt in turn and solving again: %s', (_, relative) => {
  const N = 250;
  const problem = { ...sample(N, 11, 2), relative };
  const whole = optimum(kernels, problem);
  const reference = whole.reference.safety;
  const solutions = Array.from({ length: N }, (_, n) => {
    const rest = without(problem, n);
    const means = solveWith(kernels, rest).reference.safety;
    const thresholds = problem.thresholds.map((value, j) =>
      relative[j] ? value + means[j] - reference[j] : value,
    );
    return achieved(optimum(kernels, { ...rest, thresholds }));
  });
  for (const [i, interval] of intervalsOf(whole).entries()) {
    const values = solutions.map((solution) => solution[i]);
    const mean = values.reduce((a, b) => a + b) / N;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    const jackknife = 2 * 1.959963984540054 * Math.sqrt(((N - 1) / N) * squares);
    expect(Math.abs(width(interval) - jackknife)).toBeLessThan(0.03 * jackknife + 1e-7);
  }
  // What meets a fixed threshold meets it whatever the prompts are.
  for (const [j, known] of relative.map((margin) => !margin).entries()) {
    const size = width(whole.intervals.optimum.safety[j]);
    if (known) expect(size).toBeLessThan(1e-12);
    else expect(size).toBeGreaterThan(0.1);
  }
});

test.each([
  ['thresholds', false],
  ['margins', true],
])('they agree with the bootstrap that solves again, and with the one that keeps λ: %s', (_, margin) => {
  const problem = { ...sample(300, 12, 2), relative: [margin, margin] };
  const { intervals } = optimum(kernels, problem);
  const bootstrap = bootstrapWith(kernels, problem, { replicates: 2000 });
  const alike = (delta: Interval, resampled: Interval) => {
    expect(width(resampled) / width(delta)).toBeGreaterThan(0.85);
    expect(width(resampled) / width(delta)).toBeLessThan(1.18);
  };
  alike(intervals.optimum.dual, bootstrap.dual);
  alike(intervals.optimum.reward, bootstrap.optimum.reward);
  alike(intervals.optimum.kl, bootstrap.optimum.kl);
  alike(intervals.policy.reward, bootstrap.expected.reward);
  alike(intervals.policy.kl, bootstrap.kl);
  for (const j of [0, 1]) {
    alike(intervals.policy.safety[j], bootstrap.expected.safety[j]);
    if (margin) alike(intervals.optimum.safety[j], bootstrap.optimum.safety[j]);
    else expect(width(bootstrap.optimum.safety[j])).toBeLessThan(1e-8);
  }
});

test('replicates of large tables carry what the move of λ does', () => {
  const large = sample(6000, 3, 2);
  const solved = bootstrapWith(kernels, large, { replicates: 300 });
  const stepped = bootstrapWith(kernels, large, { replicates: 900 });
  for (const name of ['reward', 'kl'] as const) {
    const size = width(solved.optimum[name]);
    for (const end of [0, 1]) {
      const off = Math.abs(solved.optimum[name][end] - stepped.optimum[name][end]);
      expect(off).toBeLessThan(0.2 * size);
    }
  }
});

test('95 % intervals hold the truth of all prompts in about 95 % of samples', () => {
  const whole = populationOf(1);
  const truth = optimum(kernels, whole);
  const trials = 250;
  const covered: Record<string, number> = {};
  const count = (name: string, [low, high]: Interval, value: number) => {
    covered[name] = (covered[name] ?? 0) + (low <= value && value <= high ? 1 : 0);
  };
  for (let trial = 0; trial < trials; trial++) {
    const problem = sample(150, 100 + trial, 1);
    const { lambda, lambdaIntervals, intervals } = optimum(kernels, problem);
    const bootstrap = bootstrapWith(kernels, problem, { replicates: 200, seed: trial });
    const [policy] = describePoliciesWith(kernels, whole, beta, [lambda]);
    count('λ', lambdaIntervals[0], truth.lambda[0]);
    count('dual', intervals.optimum.dual, truth.dual);
    count('reward', intervals.optimum.reward, truth.expected.reward);
    count('KL', intervals.optimum.kl, truth.kl);
    count('reward of the policy', intervals.policy.reward, policy.reward);
    count('safety of the policy', intervals.policy.safety[0], policy.safety[0]);
    count('KL of the policy', intervals.policy.kl, policy.kl);
    count('λ, resampled', bootstrap.lambda[0], truth.lambda[0]);
    count('reward, resampled', bootstrap.optimum.reward, truth.expected.reward);
    count('KL, resampled', bootstrap.optimum.kl, truth.kl);
  }
  // Standard error of a coverage of 0.95 over 250 trials: 0.0138.
  for (const [name, times] of Object.entries(covered)) {
    expect(times / trials, name).toBeGreaterThan(0.95 - 4 * 0.0138);
    expect(times / trials, name).toBeLessThanOrEqual(1);
  }
});

test('what the data do not bound has no bounds', () => {
  const table = generateScores(5, 1, 12, 1);
  const { reachable } = solveWith(kernels, { ...table, beta, thresholds: [0] });
  const { lambda, intervals } = optimum(kernels, { ...table, beta, thresholds: [reachable[0] - 0.1] });
  expect(lambda[0]).toBeGreaterThan(0);
  const none = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  expect(intervals.optimum).toMatchObject({ reward: none, safety: [none] });
  expect(intervals.policy.kl).toEqual([0, Number.POSITIVE_INFINITY]);
  expect(JSON.parse(JSON.stringify(intervals)).optimum.reward).toEqual([null, null]);
});

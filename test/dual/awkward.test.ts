/** Every question on every awkward table at every β: a right answer or one clear error, never NaN, never a hang. */
import { describe, expect, test } from 'vitest';
import {
  axisPathWith,
  bootstrapWith,
  convergenceWith,
  type DualProblem,
  describePoliciesWith,
  directionPathWith,
  farthestAlongWith,
  type Kernels,
  largestThresholdWith,
  loadWasm,
  planWith,
  type ScoreTable,
  safeThresholdsWith,
  safetyCurveWith,
  solveStreamWith,
  solveWith,
  stabilityWith,
  thresholdGridWith,
  UserError,
} from '../../src/dual/index.ts';
import { generateScores } from '../support/score_generator.ts';
import { plainDual } from './plain.ts';

const kernels = await loadWasm();
const floats = (...values: number[]) => Float64Array.from(values);
const generated = generateScores(21, 12, 6, 1);
const changed = (values: Float64Array, at: Readonly<Record<number, number>>) =>
  values.map((value, i) => at[i] ?? value);
const total = generated.reward.length;

const TABLES: Readonly<Record<string, ScoreTable>> = {
  'one prompt': { prompts: 1, responses: 4, reward: floats(1, 0, 2, -1), safety: floats(-1, 1, -2, 0.5) },
  'one response': { prompts: 4, responses: 1, reward: floats(1, 0, 2, -1), safety: floats(-1, 1, -2, 0.5) },
  'one prompt, one response': { prompts: 1, responses: 1, reward: floats(1), safety: floats(2) },
  'all scores tied': {
    ...generated,
    reward: new Float64Array(total).fill(3),
    safety: new Float64Array(total).fill(1),
  },
  'constant safety': { ...generated, safety: new Float64Array(total).fill(0.1) },
  'safety constant on each prompt': {
    ...generated,
    safety: generated.safety.map((_, i) => Math.floor(i / 6)),
  },
  'constant reward': { ...generated, reward: new Float64Array(total).fill(-2) },
  'few distinct scores': {
    ...generated,
    reward: generated.reward.map((x) => Math.round(x / 4)),
    safety: generated.safety.map((x) => Math.sign(x)),
  },
  'safety that is the reward': { ...generated, safety: generated.reward },
  'safety that is minus the reward': { ...generated, safety: generated.reward.map((x) => -x) },
  'two scores, the second constant': {
    ...generated,
    safety: floats(...generated.safety, ...new Array(total).fill(5)),
  },
  'two equal scores': { ...generated, safety: floats(...generated.safety, ...generated.safety) },
  'two opposed scores': {
    ...generated,
    safety: floats(...generated.safety, ...generated.safety.map((x) => -x)),
  },
  ragged: { ...generated, prompts: 5, responses: Uint32Array.of(1, 30, 2, 38, 1) },
  'rewards of ±1e30': { ...generated, reward: changed(generated.reward, { 3: 1e30, 40: -1e30 }) },
  'safety of ±1e30': { ...generated, safety: changed(generated.safety, { 3: 1e30, 40: -1e30 }) },
  'all of 1e30': {
    ...generated,
    reward: generated.reward.map((x) => x * 1e30),
    safety: generated.safety.map((x) => x * 1e30),
  },
  'single precision near its largest': {
    ...generated,
    reward: Float32Array.from(generated.reward, (x) => x * 1e37),
    safety: Float32Array.from(generated.safety, (x) => x * 1e37),
  },
  'subnormal rewards': { ...generated, reward: generated.reward.map((x) => x * 1e-323) },
  'subnormal safety': { ...generated, safety: generated.safety.map((x) => x * 1e-323) },
  'a subnormal among ordinary safety': {
    ...generated,
    safety: changed(generated.safety, { 0: 5e-324, 9: -5e-324 }),
  },
  'negative zeros': { ...generated, safety: generated.safety.map((x) => (x < 0 ? -0 : 0.5)) },
  'weights over 300 orders of magnitude': {
    ...generated,
    weights: generated.reward.map((_, i) => [1e-150, 1, 1e150, 0.5, 0, 3][i % 6]),
  },
  'NaN reward': { ...generated, reward: changed(generated.reward, { 5: Number.NaN }) },
  'NaN safety': { ...generated, safety: changed(generated.safety, { 71: Number.NaN }) },
  'infinite reward': { ...generated, reward: changed(generated.reward, { 0: Number.POSITIVE_INFINITY }) },
  'reward of minus infinity': {
    ...generated,
    reward: changed(generated.reward, { 9: Number.NEGATIVE_INFINITY }),
  },
  'safety of minus infinity': {
    ...generated,
    safety: changed(generated.safety, { 9: Number.NEGATIVE_INFINITY }),
  },
  'a NaN weight': { ...generated, weights: changed(new Float64Array(total).fill(1), { 2: Number.NaN }) },
};
const REFUSED = /^NaN|infin|^a NaN/;
const BETAS = [1e-4, 1e-2, 1, 1e2, 1e4];

/** Mean of each safety score, and a threshold that leaves room and one that does not. */
function thresholdsFor({ reward, safety }: ScoreTable, part: number): number[] {
  const m = safety.length / reward.length;
  return Array.from({ length: m }, (_, j) => {
    const scores = Array.from(safety.subarray(j * reward.length, (j + 1) * reward.length));
    const mean = scores.reduce((a, b) => a + b / scores.length, 0);
    return mean + part * (Math.max(...scores) - mean);
  });
}

const QUESTIONS: Readonly<Record<string, (kernels: Kernels, problem: DualProblem) => unknown>> = {
  solve: solveWith,
  stream: (kernels, { beta, thresholds, ...table }) =>
    solveStreamWith(kernels, () => [table], { beta, limits: thresholds.map((threshold) => ({ threshold })) }),
  curve: (kernels, { beta, ...table }) => safetyCurveWith(kernels, table, beta, { points: 7 }),
  axis: (kernels, problem) => axisPathWith(kernels, problem, 1, { points: 4 }),
  direction: (kernels, problem) =>
    directionPathWith(
      kernels,
      problem,
      problem.thresholds.map(() => 1),
      { points: 4 },
    ),
  grid: (kernels, { beta, ...table }) => thresholdGridWith(kernels, table, beta, 3),
  farthest: (kernels, problem) =>
    farthestAlongWith(
      kernels,
      problem,
      problem.beta,
      problem.thresholds,
      problem.thresholds.map(() => 1),
    ),
  'KL budget': (kernels, { beta, ...table }) => largestThresholdWith(kernels, table, beta, { kl: 0.5 }),
  'reward budget': (kernels, { beta, ...table }) => largestThresholdWith(kernels, table, beta, { reward: 0 }),
  describe: (kernels, problem) =>
    describePoliciesWith(kernels, problem, problem.beta, [problem.thresholds.map(() => 0.5)]),
  safe: (kernels, problem) => safeThresholdsWith(kernels, problem, 0.1),
  bootstrap: (kernels, problem) => bootstrapWith(kernels, problem, { replicates: 10, seed: 1 }),
  plan: (kernels, problem) => planWith(kernels, problem, { target: 0.1, subsets: 3, seed: 1 }),
  convergence: (kernels, problem) => convergenceWith(kernels, problem, { steps: [1], passes: 20 }),
  stability: (kernels, problem) =>
    stabilityWith(kernels, problem, { reward: 0.01, safety: problem.thresholds.map(() => 0.01) }),
};

function hasNaN(value: unknown): boolean {
  if (typeof value === 'number') return Number.isNaN(value);
  return typeof value === 'object' && value !== null && Object.values(value).some(hasNaN);
}

describe.each(Object.keys(TABLES))('%s', (name) => {
  const table = TABLES[name];

  test.each(Object.keys(QUESTIONS))('%s', async (question) => {
    let answered = 0;
    for (const beta of BETAS) {
      for (const part of [0, 0.3, 2]) {
        const thresholds = thresholdsFor(TABLES[REFUSED.test(name) ? 'ragged' : name], part);
        const problem = { ...table, beta, thresholds };
        let answer: unknown;
        try {
          answer = await QUESTIONS[question](kernels, problem);
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          expect(error.message).toMatch(/^[^\n]{10,400}$/);
          continue;
        }
        answered++;
        expect(REFUSED.test(name)).toBe(false);
        expect(hasNaN(answer), `β = ${beta}, ${part}: ${JSON.stringify(answer)?.slice(0, 2000)}`).toBe(false);
      }
    }
    // Of one safety score, only grids have nothing to say.
    if (name === 'ragged' && question !== 'grid') expect(answered).toBeGreaterThan(5);
  });
});

/** λ* of one constraint by bisection on the plain gradient, which grows with λ; undefined where there is none below 1e6. */
function bisected(problem: DualProblem): number | undefined {
  const slope = (lambda: number) => plainDual(problem, [lambda]).gradient[0];
  if (slope(0) >= 0) return 0;
  let [low, high] = [0, 1];
  while (slope(high) < 0) {
    if (high > 1e6) return undefined;
    [low, high] = [high, 2 * high];
  }
  for (let i = 0; i < 200 && high > low; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (slope(middle) < 0) low = middle;
    else high = middle;
  }
  return high;
}

const ORDINARY = Object.keys(TABLES).filter(
  (name) => !REFUSED.test(name) && !/1e30|single|subnormal s|weights|two/.test(name),
);
test.each(ORDINARY)('λ* by bisection at any β: %s', (name) => {
  for (const beta of BETAS) {
    for (const part of [-0.2, 0.1, 0.3]) {
      const problem = { ...TABLES[name], beta, thresholds: thresholdsFor(TABLES[name], part) };
      const solution = solveWith(kernels, problem);
      const expected = bisected(problem);
      if (expected === undefined || solution.status !== 'optimal') {
        expect([solution.status, expected], `β = ${beta}, ${part}`).toEqual([
          expect.stringMatching(/infeasible/),
          undefined,
        ]);
        continue;
      }
      // Where D is flat to within rounding any λ will do: then the gradient has to be as small.
      const { gradient } = plainDual(problem, solution.lambda);
      const off = Math.abs(solution.lambda[0] - expected) / Math.max(1, expected);
      expect(
        Math.min(off, Math.abs(gradient[0])),
        `β = ${beta}, ${part}: ${solution.lambda} ${expected}`,
      ).toBeLessThan(1e-8);
    }
  }
});

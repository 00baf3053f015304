import { describe, expect, test } from 'vitest';
import {
  axisPathWith,
  type DualProblem,
  farthestAlongWith,
  loadWasm,
  solveWith,
} from '../../src/dual/index.ts';
import { keyOf, Random } from '../../src/random.ts';
import { plainSupport } from './plain.ts';
import { maximise } from './simplex.ts';

const kernels = await loadWasm();

interface Drawn extends DualProblem {
  readonly responses: number;
}

/** A small problem with thresholds near what is within reach; ties where the seed is even. */
function draw(m: number, seed: number): Drawn {
  const random = new Random(keyOf(seed, `feasibility ${m}`));
  const uniform = seed % 2 === 0 ? () => random.below(4) / 3 : () => random.uniform();
  const prompts = 2 + random.below(6);
  const responses = 2 + random.below(7);
  const total = prompts * responses;
  return {
    reward: Float64Array.from({ length: total }, uniform),
    safety: Float64Array.from({ length: m * total }, uniform),
    prompts,
    responses,
    beta: 10 ** (4 * random.uniform() - 2),
    thresholds: Array.from({ length: m }, () => 0.3 * random.uniform()),
  };
}

/**
 * The largest t such that some policy has E[g_j] ≥ thresholds_j + t for all j: a linear programme over the policy's
 * probabilities. Scores are shifted by C to above 0, so that "at most 1" may stand for "they add up to 1".
 */
function slackOf({ prompts, responses, safety, thresholds }: Drawn): number {
  const total = prompts * responses;
  const h = (j: number, i: number) => safety[j * total + i] - thresholds[j];
  const cells = Array.from({ length: total }, (_, i) => i);
  const C = Math.max(0, ...thresholds.flatMap((_, j) => cells.map((i) => -h(j, i))));
  const limits = thresholds.map((_, j) => [1, ...cells.map((i) => -(h(j, i) + C) / prompts)]);
  const masses = Array.from({ length: prompts }, (_, n) => [
    0,
    ...cells.map((i) => (Math.floor(i / responses) === n ? 1 : 0)),
  ]);
  const bounds = [...limits.map(() => 0), ...masses.map(() => 1)];
  return maximise([1, ...cells.map(() => 0)], [...limits, ...masses], bounds) - C;
}

const raised = (problem: Drawn, by: number): Drawn => ({
  ...problem,
  thresholds: problem.thresholds.map((threshold) => threshold + by),
});

const SEEDS = Array.from({ length: 12 }, (_, seed) => seed);

test('the oracle solves a programme with a known answer', () => {
  // max 3x + 5y: x ≤ 4, 2y ≤ 12, 3x + 2y ≤ 18 (Dantzig).
  const rows = [
    [1, 0],
    [0, 2],
    [3, 2],
  ];
  expect(maximise([3, 5], rows, [4, 12, 18])).toBeCloseTo(36, 12);
});

describe.each([1, 2, 3, 5, 8, 12])('%i constraints', (m) => {
  test.each([1e-2, 1e-4, 1e-6])('thresholds %d within the reach are met, beyond it are refuted', (off) => {
    for (const seed of SEEDS) {
      const problem = draw(m, seed);
      const slack = slackOf(problem);
      const within = solveWith(kernels, raised(problem, slack - off));
      expect(within.status).toBe('optimal');
      const beyond = raised(problem, slack + off);
      const solution = solveWith(kernels, beyond);
      if (solution.status !== 'infeasible') {
        throw new Error(`seed ${seed}, ${off} beyond the reach: ${solution.status}`);
      }
      const { direction, value } = solution.certificate;
      expect(direction.every((u) => u >= 0)).toBe(true);
      expect(direction.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
      expect(value).toBeCloseTo(plainSupport(beyond, direction), 10);
      // No certificate shows more than the programme says there is to show.
      expect(value).toBeLessThan(0);
      expect(value).toBeGreaterThan(-off - 1e-12);
    }
  });

  test('next to the edge: a verdict, never an error', () => {
    for (const seed of SEEDS) {
      const problem = draw(m, seed);
      const slack = slackOf(problem);
      for (const off of [1e-8, 1e-9, 1e-10, 1e-12, 0, -1e-12, -1e-10, -1e-8]) {
        const solution = solveWith(kernels, raised(problem, slack + off));
        if (solution.status === 'infeasible') {
          expect(off).toBeGreaterThanOrEqual(0);
          continue;
        }
        expect(solution.expected.safety.every(Number.isFinite)).toBe(true);
        // Optimal means that the thresholds are met, to within rounding.
        if (solution.status === 'optimal') expect(Math.min(...solution.gradient)).toBeGreaterThan(-3e-9);
      }
    }
  });

  test('the reach along each axis, alone and with the others standing', () => {
    for (const seed of SEEDS.slice(0, 4)) {
      const drawn = draw(m, seed);
      const problem = raised(drawn, slackOf(drawn) - 0.05);
      const { reachable } = solveWith(kernels, problem);
      for (const j of new Set([0, m - 1])) {
        const axis = problem.thresholds.map((_, i) => (i === j ? 1 : 0));
        expect(reachable[j]).toBeCloseTo(problem.thresholds[j] + plainSupport(problem, axis), 12);
        const found = farthestAlongWith(kernels, problem, problem.beta, problem.thresholds, axis);
        const at = (t: number) =>
          slackOf({ ...problem, thresholds: problem.thresholds.map((b, i) => b + t * axis[i]) });
        let [low, high] = [0, reachable[j] - problem.thresholds[j] + 1];
        while (high - low > 1e-9) {
          const middle = (low + high) / 2;
          if (at(middle) >= 0) low = middle;
          else high = middle;
        }
        expect(found).toBeCloseTo(low, 5);
      }
    }
  });
});

test('a path along an axis ends short of the reach that the other thresholds leave', () => {
  const drawn = draw(3, 1);
  const problem = raised(drawn, slackOf(drawn) - 0.02);
  const { points } = axisPathWith(kernels, problem, 2, { points: 5 });
  expect(points.map(({ status }) => status)).toEqual(new Array(5).fill('optimal'));
  const [first, last] = [points[0].thresholds[1], points[4].thresholds[1]];
  const beyond = problem.thresholds.with(1, first + (last - first) / 0.98);
  expect(solveWith(kernels, { ...problem, thresholds: beyond }).status).toBe('infeasible');
});

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { evaluateDual, solveDual } from '../../src/dual/index.ts';
import { generateScores } from '../support/score_generator.ts';
import { GOLDEN_PROBLEMS } from './golden_problems.ts';

const path = fileURLToPath(new URL('../../../shared/golden/dual/cases.json', import.meta.url));

interface GoldenCase {
  name: string;
  seed: number;
  N: number;
  K: number;
  m: number;
  beta: number;
  thresholds: number[];
  mean_reward: number;
  mean_safety: number[];
  max_reachable_safety: number[];
  status: string;
  lambda_: number[];
  dual: number;
  gradient: number[];
  hessian: number[][];
  expected_reward: number;
  expected_safety: number[];
  kl: number;
  median_ess: number;
}

function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) {
    expect(Math.abs(actual[i] - value)).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(value)));
  }
}

describe.skipIf(!existsSync(path))(`golden cases (${path})`, () => {
  const { generator_check: check, cases } = existsSync(path)
    ? JSON.parse(readFileSync(path, 'utf8'))
    : { generator_check: undefined, cases: [] };

  test('the generator gives the stated scores', () => {
    const { reward, safety } = generateScores(check.seed, check.N, check.K, check.m);
    expect([...reward]).toEqual(check.reward.flat());
    expect([...safety]).toEqual(check.safety.flat(2));
  });

  test('the problems that every host solves are those of the cases', () => {
    const problemOf = ({ seed, N, K, m, beta, thresholds }: GoldenCase) => {
      return { seed, N, K, m, beta, thresholds };
    };
    expect(GOLDEN_PROBLEMS).toEqual((cases as GoldenCase[]).map(problemOf));
  });

  test.each(cases as GoldenCase[])('$name', async (golden) => {
    const problem = {
      ...generateScores(golden.seed, golden.N, golden.K, golden.m),
      beta: golden.beta,
      thresholds: golden.thresholds,
    };
    const solution = await solveDual(problem);
    expect(solution.status).toBe(golden.status);
    expectClose(solution.reachable, golden.max_reachable_safety, 1e-12);
    expectClose(
      [solution.reference.reward, ...solution.reference.safety],
      [golden.mean_reward, ...golden.mean_safety],
      1e-12,
    );
    if (solution.status === 'infeasible') {
      expect(solution.certificate.value).toBeLessThan(0);
      return;
    }
    expectClose(solution.lambda, golden.lambda_, 1e-9);
    expectClose([solution.dual], [golden.dual], 1e-12);
    expectClose(solution.gradient, golden.gradient, 1e-9);
    expectClose(solution.hessian.flat(), golden.hessian.flat(), 1e-9);
    expectClose([solution.expected.reward], [golden.expected_reward], 1e-9);
    expectClose(solution.expected.safety, golden.expected_safety, 1e-9);
    expectClose([solution.kl, solution.ess.median], [golden.kl, golden.median_ess], 1e-9);
    const { value, gradient, hessian } = await evaluateDual(problem, golden.lambda_);
    expectClose([value], [golden.dual], 1e-13);
    expectClose(gradient, golden.gradient, 1e-12);
    expectClose(hessian.flat(), golden.hessian.flat(), 1e-11);
  });
});

/** A population of prompts, and random samples of it: what intervals and safe thresholds are judged on. */
import { type DualProblem, type Kernels, type Solved, solveWith } from '../../src/dual/index.ts';
import { keyOf, Random } from '../../src/random.ts';
import { generateScores } from '../support/score_generator.ts';

/** Prompts that stand for all there are, and random samples of them. */
const ALL = 6000;
export const K = 12;
const population = generateScores(31, ALL, K, 2);
export const beta = 1.5;

/** `size` prompts drawn from all of them. */
export function sample(size: number, seed: number, constraints: number): DualProblem {
  const random = new Random(keyOf(seed, 'sample'));
  const rows = Array.from({ length: size }, () => random.below(ALL));
  const pick = (values: Float64Array, plane: number) =>
    rows.flatMap((n) => [...values.subarray(plane + n * K, plane + (n + 1) * K)]);
  const safety = Array.from({ length: constraints }, (_, j) => pick(population.safety, j * ALL * K)).flat();
  return {
    reward: Float64Array.from(pick(population.reward, 0)),
    safety: Float64Array.from(safety),
    prompts: size,
    responses: K,
    beta,
    thresholds: [-0.6, -0.8].slice(0, constraints),
  };
}

/** The problem on all prompts. */
export function populationOf(constraints: number): DualProblem {
  const thresholds = [-0.6, -0.8].slice(0, constraints);
  return { ...population, safety: population.safety.subarray(0, constraints * ALL * K), beta, thresholds };
}

/** The solution of a problem within reach. */
export function optimum(kernels: Kernels, problem: DualProblem): Solved {
  const solution = solveWith(kernels, problem);
  if (solution.status !== 'optimal') throw new Error(`expected an optimum, got ${solution.status}`);
  return solution;
}

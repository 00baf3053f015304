/**
 * The bound on λ* under score errors beside what errors do to it: the reach of the interval over the furthest that λ*
 * went, at random (ends of the errors at random, 200 draws) and against it (what is safer than the policy's mean gets
 * less reward, and all safety less).
 *
 *     node bench/stability.ts
 */
import { type DualProblem, loadWasm, type ScoreErrors, solveWith, stabilityWith } from '../src/dual/index.ts';
import { moved, pull, randomShift, type Shift } from '../test/dual/errors.ts';
import { generateScores } from '../test/support/score_generator.ts';

const kernels = await loadWasm();
const DRAWS = 200;
const CASES: [number, number, number, number][] = [
  // m, β, error of the reward, of each safety score
  [1, 0.1, 0.1, 0],
  [1, 0.1, 0.1, 0.1],
  [1, 1, 0.1, 0],
  [1, 1, 0.1, 0.1],
  [2, 1, 0.01, 0],
  [2, 1, 0.01, 0.01],
  [2, 2, 0.1, 0.02],
];

console.log('| m | β | error of r | of g | λ* | bound | first order | random | against | bound / against |');
console.log('| --: | --: | --: | --: | --- | --: | --: | --: | --: | --: |');
for (const [m, beta, r, g] of CASES) {
  const problem: DualProblem = {
    ...generateScores(7, 400, 64, m),
    beta,
    thresholds: [0.5, 0.2].slice(0, m),
  };
  const errors: ScoreErrors = { reward: r, safety: problem.thresholds.map(() => g) };
  const { lambda, lambdaIntervals, firstOrder } = stabilityWith(kernels, problem, errors);
  const distance = (shift: Shift) => {
    const solution = solveWith(kernels, moved(problem, errors, shift));
    if (solution.status === 'infeasible') throw new Error('expected a solution');
    return solution.lambda[0] - lambda[0];
  };
  const random = Math.max(
    ...Array.from({ length: DRAWS }, (_, seed) => Math.abs(distance(randomShift(seed, true)))),
  );
  const against = distance(pull(problem, lambda, 0, 1));
  const bound = lambdaIntervals[0][1] - lambda[0];
  const cells = [bound, firstOrder[0], random, against].map((value) => value.toFixed(5));
  console.log(
    `| ${[m, beta, r, g, lambda.map((value) => value.toFixed(3)).join(', '), ...cells, (bound / against).toFixed(2)].join(' | ')} |`,
  );
}

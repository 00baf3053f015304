import { constraintsOf, type ScoreTable } from '../src/dual/problem.ts';
import { HttpProblem } from './problem.ts';

/** Passes over the scores that one solution takes, generously. */
export const SOLVE_PASSES = 16;
/** And one point of a curve, solved beside its neighbour; one replicate; one subset. */
export const POINT_PASSES = 4;

/** Newton's steps take the cube of this many operations. */
const MOST_CONSTRAINTS = 32;

/** Throws unless `passes` passes over the table stay within `maxWork` terms: responses × entries of value, gradient, Hessian. */
export function checkWork(table: ScoreTable, passes: number, maxWork: number): void {
  const m = constraintsOf(table);
  if (m > MOST_CONSTRAINTS) {
    throw new HttpProblem(422, `expected at most ${MOST_CONSTRAINTS} safety scores, got ${m}`);
  }
  const work = passes * table.reward.length * (1 + m + (m * (m + 1)) / 2);
  if (work <= maxWork) return;
  throw new HttpProblem(
    422,
    `expected at most ${maxWork} terms to compute, got ${work}; send fewer prompts or responses, or ask for fewer points, ` +
      'resamples or subsets',
  );
}

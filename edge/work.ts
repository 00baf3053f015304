import { constraintsOf, type ScoreTable } from '../src/dual/problem.ts';
import { HttpProblem } from './problem.ts';

/** Passes over the scores that one solution takes, generously. */
export const SOLVE_PASSES = 16;
/** Solutions that it takes to find how far thresholds can run. */
export const REACH_SOLVES = 24;
/** Where λ* is under score errors: each pass weighs every response of every prompt anew, some times over. */
export const STABILITY_PASSES = 2048;
/** And one point of a curve, solved beside its neighbour; one replicate; one subset. */
export const POINT_PASSES = 4;
/** Drawing a random subset shuffles the responses: terms that takes for each, at three sizes. */
export const SHUFFLE_TERMS = 3 * 256;

/** Newton's steps take the cube of this many operations. */
const MOST_CONSTRAINTS = 32;

/**
 * Throws unless the work stays within `maxWork` terms. A pass takes one for each response and each entry of value,
 * gradient and Hessian; `more` for each response come on top.
 */
export function checkWork(table: ScoreTable, maxWork: number, passes: number, more = 0): void {
  const m = constraintsOf(table);
  if (m > MOST_CONSTRAINTS) {
    throw new HttpProblem(422, `expected at most ${MOST_CONSTRAINTS} safety scores, got ${m}`);
  }
  const work = table.reward.length * (passes * (1 + m + (m * (m + 1)) / 2) + more);
  if (work <= maxWork) return;
  throw new HttpProblem(
    422,
    `expected at most ${maxWork} terms to compute, got ${work}; send fewer prompts or responses, or ask for fewer points, ` +
      'resamples or subsets',
  );
}

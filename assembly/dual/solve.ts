/** The whole search over scores that lie in this memory. */
import { sumBlocks } from './blocks';
import { evaluateBlocks, evaluationWidth } from './evaluate';
import { absorb, CONVERGED, Newton, next } from './newton';
import { BLOCK, Scores } from './scores';
import { Scratch } from './softmax';

/**
 * Runs a search that `begin` started to its end; `partial` is f64[blocks][evaluationWidth]. With `out` other than 0 an
 * evaluation that should be the last one describes the rows too; with `times` other than 0 row n counts times[n] times,
 * which have to add up to the number of rows. Returns newton.status.
 */
export function solve(
  newton: Newton,
  scores: Scores,
  scratch: Scratch,
  partial: usize,
  out: usize,
  times: usize,
): i32 {
  const blocks = (scores.prompts + BLOCK - 1) / BLOCK;
  const width = evaluationWidth(scores.constraints);
  do {
    const describe = newton.last ? out : 0;
    newton.described = describe != 0;
    evaluateBlocks(scores, scratch, newton.lambda, newton.beta, 0, blocks, partial, describe, times);
    sumBlocks(partial, blocks, width);
    absorb(newton, partial, scores.prompts);
  } while (next(newton));
  return newton.status;
}

/** Whether value, gradient and Hessian in `newton` are those at the final λ, with the rows described. */
export function isDescribed(newton: Newton): bool {
  return newton.described && newton.accepted && newton.status == CONVERGED;
}

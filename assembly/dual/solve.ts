/** The whole search over scores that lie in this memory. */
import { sumBlocks } from './blocks';
import { evaluateBlocks, evaluationWidth } from './evaluate';
import { absorb, Newton, next } from './newton';
import { BLOCK, Scores } from './scores';
import { Scratch } from './softmax';

/** Runs a search that `begin` started to its end; `partial` is f64[blocks][evaluationWidth]. Returns newton.status. */
export function solve(newton: Newton, scores: Scores, scratch: Scratch, partial: usize): i32 {
  const blocks = (scores.prompts + BLOCK - 1) / BLOCK;
  const width = evaluationWidth(scores.constraints);
  do {
    evaluateBlocks(scores, scratch, newton.lambda, newton.beta, 0, blocks, partial);
    sumBlocks(partial, blocks, width);
    absorb(newton, partial, scores.prompts);
  } while (next(newton));
  return newton.status;
}

export { sumBlocks } from './dual/blocks';
export { describeRows, supportBlocks } from './dual/describe';
export { evaluateBlocks } from './dual/evaluate';
export {
  absorb,
  begin,
  betaOf,
  createNewton,
  evaluationsOf,
  gradientOf,
  hessianOf,
  lambdaOf,
  next,
  offsetOf,
  rangeOf,
  valueOf,
} from './dual/newton';
export { countOf, createScores, logCountOf, prepare, rewardOf, rewardRangeOf, safetyOf, startOf } from './dual/scores';
export { createScratch } from './dual/softmax';
export { solve } from './dual/solve';
export { cos, exp, expAll, log, logAll, sin } from './math';
export { allocate, mark, release } from './memory';

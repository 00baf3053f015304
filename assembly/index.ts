export { sumBlocks } from './dual/blocks';
export { describeRows, supportBlocks } from './dual/describe';
export { evaluateBlocks } from './dual/evaluate';
export { finishLoad, loadRows } from './dual/load';
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
export { keptPart, prune, sampleRows } from './dual/prune';
export { drawTimes, weightedSum, weightedSums } from './dual/resample';
export { countOf, createScores, logCountOf, meanOf, middleOf, rewardRangeOf, startOf, statisticsOf, topOf } from './dual/scores';
export { createScratch } from './dual/softmax';
export { isDescribed, solve } from './dual/solve';
export { cos, exp, log, logAll, sin, tanh } from './math';
export { allocate, mark, release } from './memory';

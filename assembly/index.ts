export { sumBlocks } from './dual/blocks';
export { describeRows } from './dual/describe';
export { evaluateBlocks } from './dual/evaluate';
export { finishLoad, loadRows } from './dual/load';
export {
  absorb,
  begin,
  betaOf,
  createNewton,
  endsThere,
  evaluationsOf,
  gradientOf,
  hessianOf,
  isLast,
  lambdaOf,
  next,
  offsetOf,
  rangeOf,
  statusOf,
  valueOf,
} from './dual/newton';
export { createPruning, finishPruning, keptPart, sampleRows } from './dual/prune';
export { createLane, evaluateRawShare, keepRaw, supportRawShare, takeShare } from './dual/raw';
export { createBench, replicateShare } from './dual/replicate';
export { drawTimes } from './dual/resample';
export { countOf, createScores, logCountOf, meanOf, middleOf, rewardRangeOf, startOf, statisticsOf, sumsOf, topOf } from './dual/scores';
export { describeShare, evaluateShare, loadShare, pruneShare, supportShare } from './dual/shares';
export { createScratch } from './dual/softmax';
export { cos, exp, log, logAll, sin, tanh } from './math';
export { allocate, mark, release } from './memory';

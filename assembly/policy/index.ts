/** The CPU engine's kernels. Each takes, after what it computes, a thread's scratch and its units of work [first, end). */
export { attention, attentionCached, attentionCachedScratch, attentionScratch } from './attention';
export { attentionBackward, attentionBackwardScratch } from './attention_backward';
export { dropout } from './dropout';
export { add, addBias, swiglu, swigluBackward } from './elementwise';
export {
  dpo,
  maskedSum,
  maskedSumBackward,
  policyGradient,
  tokenLogps,
  tokenLogpsBackward,
  topTargets,
} from './losses';
export { matmul, matmulScratch } from './matmul';
export { adamw, sumBlocks, sumSquaresBlocks } from './optimizer';
export {
  cacheWrite,
  columnProducts,
  gatherRows,
  gatherRowsScratch,
  rmsnorm,
  rmsnormBackward,
  rope,
  scatterRows,
} from './rows';
export { advance, repetitionPenalty, repetitionPenaltyScratch, sample, sampleScratch } from './sample';
export const heapBase: usize = __heap_base;

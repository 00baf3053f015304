/** The entry `dualign/dual`: from scores to λ*, the trade-off and a verdict. WebAssembly and TypeScript, nothing else. */
export * from './dual/index.ts';
export { type ThreadedKernels, threadedKernels, useThreads } from './host/dual_threads.ts';

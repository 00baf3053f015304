import { MEMORY_FLAGS_AT, POLICY_WASM_BASE64 } from '../../generated/policy_wasm.ts';
import type { Kernel } from '../../pool.ts';

/** The kernels of assembly/policy that run over units of work. */
export const KERNEL_NAMES = [
  'add',
  'adamw',
  'addBias',
  'advance',
  'attention',
  'attentionBackward',
  'attentionCached',
  'cacheWrite',
  'columnProducts',
  'dpo',
  'dropout',
  'gatherRows',
  'maskedSum',
  'maskedSumBackward',
  'matmul',
  'policyGradient',
  'repetitionPenalty',
  'rmsnorm',
  'rmsnormBackward',
  'rope',
  'sample',
  'scatterRows',
  'sumSquaresBlocks',
  'swiglu',
  'swigluBackward',
  'tokenLogps',
  'tokenLogpsBackward',
  'topTargets',
] as const;

export type KernelName = (typeof KERNEL_NAMES)[number];

/** What assembly/policy/index.ts exports. */
export interface PolicyExports extends Readonly<Record<KernelName, Kernel>> {
  /** First byte that the module leaves to the engine. */
  readonly heapBase: { readonly value: number };
  /** Bytes of scratch that kernels need. */
  attentionScratch(t: number, headDim: number): number;
  attentionBackwardScratch(t: number, headDim: number): number;
  attentionCachedScratch(length: number, headDim: number): number;
  gatherRowsScratch(d: number): number;
  matmulScratch(columnSize: number): number;
  repetitionPenaltyScratch(vocab: number): number;
  sampleScratch(vocab: number): number;
  /** out `[1]` = the sum of `count` f64 at `partial`. */
  sumBlocks(out: number, partial: number, count: number): void;
}

/** The module's bytes, for a memory that threads share or one of its own: the flag is part of the import's type. */
export function policyWasm(shared: boolean): Uint8Array<ArrayBuffer> {
  const binary = atob(POLICY_WASM_BASE64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  if (!shared) bytes[MEMORY_FLAGS_AT] = 1;
  return bytes;
}

export function instantiatePolicy(module: WebAssembly.Module, memory: WebAssembly.Memory): PolicyExports {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as PolicyExports;
}

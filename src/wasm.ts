import { WASM_DEFLATED, WASM_MEMORY_FLAGS_AT } from './generated/wasm.ts';
import type { Kernel, Pool } from './pool.ts';

/** The kernels of assembly/dual/shares.ts and raw.ts, which threads may share. */
export const SHARE_NAMES = [
  'describeShare',
  'evaluateRawShare',
  'evaluateShare',
  'loadShare',
  'pruneShare',
  'replicateShare',
  'supportRawShare',
  'supportShare',
  'takeShare',
] as const;

/** A kernel that threads share the rows of. */
export type ShareName = (typeof SHARE_NAMES)[number];

/** What assembly/index.ts exports. Pointers are byte offsets into `memory`; 0 from a `create…` means out of memory. */
export interface WasmExports extends Readonly<Record<ShareName, Kernel>> {
  readonly memory: WebAssembly.Memory;
  // math.ts
  exp(x: number): number;
  log(x: number): number;
  sin(x: number): number;
  cos(x: number): number;
  tanh(x: number): number;
  logAll(pointer: number, count: number): void;
  // memory.ts
  allocate(bytes: number): number;
  mark(): number;
  release(position: number): void;
  // dual/scores.ts, dual/load.ts
  createScores(
    prompts: number,
    constraints: number,
    elements: number,
    longest: number,
    weighted: boolean,
  ): number;
  startOf(scores: number): number;
  countOf(scores: number): number;
  logCountOf(scores: number): number;
  meanOf(scores: number): number;
  middleOf(scores: number): number;
  rewardRangeOf(scores: number): number;
  statisticsOf(scores: number): number;
  sumsOf(scores: number): number;
  topOf(scores: number): number;
  loadRows(
    scores: number,
    firstRow: number,
    endRow: number,
    reward: number,
    safety: number,
    weight: number,
    plane: number,
    singleReward: number,
    singleSafety: number,
    singleWeight: number,
  ): number;
  finishLoad(scores: number): void;
  // dual/prune.ts
  sampleRows(scores: number, step: number): number;
  keptPart(scores: number, scratch: number, centre: number, radius: number, beta: number): number;
  createPruning(scores: number, capacity: number): number;
  finishPruning(pruning: number): number;
  // dual/raw.ts
  createLane(constraints: number, elements: number, longest: number, weighted: boolean): number;
  keepRaw(raw: number, constraints: number): number;
  // dual/softmax.ts, dual/evaluate.ts, dual/describe.ts, dual/blocks.ts
  createScratch(scores: number, block: number): number;
  evaluateBlocks(
    scores: number,
    scratch: number,
    lambda: number,
    beta: number,
    firstBlock: number,
    endBlock: number,
    partial: number,
    out: number,
    times: number,
  ): void;
  describeRows(
    scores: number,
    scratch: number,
    lambda: number,
    beta: number,
    firstRow: number,
    endRow: number,
    out: number,
  ): void;
  sumBlocks(partial: number, blocks: number, width: number): void;
  // dual/resample.ts
  drawTimes(times: number, rows: number, key0: number, key1: number, replicate: number): void;
  // dual/replicate.ts
  createBench(scores: number): number;
  // dual/newton.ts
  createNewton(constraints: number): number;
  rangeOf(newton: number): number;
  offsetOf(newton: number): number;
  lambdaOf(newton: number): number;
  gradientOf(newton: number): number;
  hessianOf(newton: number): number;
  valueOf(newton: number): number;
  betaOf(newton: number): number;
  evaluationsOf(newton: number): number;
  begin(newton: number, beta: number, unit: number, least: number): void;
  absorb(newton: number, sums: number, prompts: number): void;
  next(newton: number): number;
  isLast(newton: number): number;
  endsThere(newton: number): number;
  statusOf(newton: number): number;
}

/** Elementary functions with the same bits on every engine, and the module they come from. */
export interface Kernels {
  exp(x: number): number;
  log(x: number): number;
  sin(x: number): number;
  cos(x: number): number;
  tanh(x: number): number;
  readonly module: WebAssembly.Module;
  readonly exports: WasmExports;
  /** Threads that share the work on large tables, where there are any; no result depends on them. */
  readonly pool?: Pick<Pool<ShareName>, 'size' | 'run'>;
  /** The same module with a memory of its own, and without threads. */
  fresh(): Kernels;
}

/** The bytes of the module. */
async function wasmBytes(): Promise<Uint8Array<ArrayBuffer>> {
  const deflated = Uint8Array.from(atob(WASM_DEFLATED), (character) => character.charCodeAt(0));
  const inflated = new Blob([deflated]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(inflated).arrayBuffer());
}

const MOST_PAGES = 65_536;

/** A memory that the module takes; a shared one for a module that says so. */
export function createMemory(shared = false): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: 1, maximum: MOST_PAGES, shared });
}

/** Kernels on a new memory; synchronous. */
export function instantiate(module: WebAssembly.Module, memory = createMemory()): Kernels {
  const exports = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as WasmExports;
  const { exp, log, sin, cos, tanh } = exports;
  return { exp, log, sin, cos, tanh, module, exports, fresh: () => instantiate(module) };
}

/** The bytes of the module that takes a shared memory: what threads compile. */
export async function sharedWasm(): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await wasmBytes();
  bytes[WASM_MEMORY_FLAGS_AT] = 3;
  return bytes;
}

let shared: Promise<Kernels> | undefined;

/** Sets what `loadWasm` gives from now on. */
export function useKernels(kernels: Kernels): void {
  shared = Promise.resolve(kernels);
}

/**
 * The kernels, compiled once. A host that forbids compiling at run time (workerd) passes the module compiled from
 * build/dualign.wasm; whoever calls later without a module gets that one too.
 */
export function loadWasm(module?: WebAssembly.Module): Promise<Kernels> {
  shared ??= (module ? Promise.resolve(module) : wasmBytes().then(WebAssembly.compile)).then(instantiate);
  return shared;
}

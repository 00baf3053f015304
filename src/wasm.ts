import { WASM_BASE64 } from './generated/wasm.ts';

/** What assembly/index.ts exports. Pointers are byte offsets into `memory`; 0 from a `create…` means out of memory. */
export interface WasmExports {
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
    singleReward: boolean,
    singleSafety: boolean,
    singleWeight: boolean,
  ): number;
  finishLoad(scores: number): void;
  // dual/prune.ts
  sampleRows(scores: number, step: number): number;
  keptPart(scores: number, scratch: number, centre: number, radius: number, beta: number): number;
  prune(
    scores: number,
    scratch: number,
    centre: number,
    radius: number,
    beta: number,
    capacity: number,
  ): number;
  selectRows(
    scores: number,
    scratch: number,
    centre: number,
    radius: number,
    beta: number,
    counts: number,
    positions: number,
  ): number;
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
  supportBlocks(
    scores: number,
    direction: number,
    firstBlock: number,
    endBlock: number,
    partial: number,
  ): void;
  sumBlocks(partial: number, blocks: number, width: number): void;
  // dual/resample.ts
  drawTimes(times: number, rows: number, key0: number, key1: number, replicate: number): void;
  weightedSum(values: number, rows: number, times: number): number;
  weightedSums(values: number, rows: number, width: number, times: number, out: number): void;
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
  /** The same module with a memory of its own. */
  fresh(): Kernels;
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Kernels on a new memory; synchronous. */
export function instantiate(module: WebAssembly.Module): Kernels {
  const exports = new WebAssembly.Instance(module, {}).exports as unknown as WasmExports;
  const { exp, log, sin, cos, tanh } = exports;
  return { exp, log, sin, cos, tanh, module, exports, fresh: () => instantiate(module) };
}

let shared: Promise<Kernels> | undefined;

/**
 * The kernels, compiled once. A host that forbids compiling at run time (workerd) passes the module compiled from
 * build/dualign.wasm; whoever calls later without a module gets that one too.
 */
export function loadWasm(module?: WebAssembly.Module): Promise<Kernels> {
  shared ??= (module ? Promise.resolve(module) : WebAssembly.compile(decodeBase64(WASM_BASE64))).then(
    instantiate,
  );
  return shared;
}

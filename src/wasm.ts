import { WASM_BASE64 } from './generated/wasm.ts';

/** What assembly/index.ts exports. Pointers are byte offsets into `memory`. */
export interface WasmExports {
  readonly memory: WebAssembly.Memory;
  exp(x: number): number;
  log(x: number): number;
  sin(x: number): number;
  cos(x: number): number;
  expAll(pointer: number, count: number): void;
  logAll(pointer: number, count: number): void;
  allocate(bytes: number): number;
  mark(): number;
  release(position: number): void;
}

/** Elementary functions with the same bits on every engine, and the module they come from. */
export interface Kernels {
  exp(x: number): number;
  log(x: number): number;
  sin(x: number): number;
  cos(x: number): number;
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
  const { exp, log, sin, cos } = exports;
  return { exp, log, sin, cos, module, exports, fresh: () => instantiate(module) };
}

let shared: Promise<Kernels> | undefined;

/**
 * The kernels, compiled once. A host that forbids compiling at run time (workerd) passes the module compiled from
 * build/dualign.wasm; whoever calls later without a module gets that one too.
 */
export function loadWasm(module?: WebAssembly.Module): Promise<Kernels> {
  shared ??= (module ? Promise.resolve(module) : WebAssembly.compile(decodeBase64(WASM_BASE64))).then(instantiate);
  return shared;
}

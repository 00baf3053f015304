import type { DeviceInfo, Engine } from '../engine.ts';
import { WASM_LIMITS } from './memory.ts';
import { operations } from './operations.ts';
import { type CpuEngineOptions, Runner } from './runner.ts';
import { tensorOperations } from './tensors.ts';

/** Nothing here depends on the host: neither do the engine's results. */
const INFO: DeviceInfo = { engine: 'cpu', vendor: '', device: 'wasm', description: 'WebAssembly SIMD' };

/**
 * An engine on the CPU: every operation in WebAssembly, with the same bits on every host and any number of threads. `memory`
 * are the bytes that a plan is to keep below.
 */
export async function createCpuEngine({
  memory = Infinity,
  ...options
}: CpuEngineOptions & { readonly memory?: number } = {}): Promise<Engine> {
  const runner = await Runner.create(options);
  return {
    info: INFO,
    asynchronous: false,
    ...tensorOperations(runner),
    limits: { ...WASM_LIMITS, total: Math.min(WASM_LIMITS.total!, memory) },
    ...operations(runner),
  };
}

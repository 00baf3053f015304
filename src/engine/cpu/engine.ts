import type { DeviceInfo, Engine } from '../engine.ts';
import { operations } from './operations.ts';
import { type CpuEngineOptions, Runner } from './runner.ts';
import { tensorOperations } from './tensors.ts';

/** Nothing here depends on the host: neither do the engine's results. */
const INFO: DeviceInfo = { engine: 'cpu', vendor: '', device: 'wasm', description: 'WebAssembly SIMD' };

/** An engine on the CPU: every operation in WebAssembly, with the same bits on every host and any number of threads. */
export async function createCpuEngine(options: CpuEngineOptions = {}): Promise<Engine> {
  const runner = await Runner.create(options);
  return {
    info: INFO,
    ...tensorOperations(runner),
    ...operations(runner),
  };
}

/** Engines that tests of the model run on: the oracle, storing f32 as a device does, the CPU's, WebGPU where there is one. */
import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { messageOf } from '../../src/errors.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';

export interface EngineCase {
  readonly name: string;
  open(): Promise<Engine>;
}

async function openWebGpu(): Promise<Engine> {
  const { device, info } = await requestDevice();
  return createWebGpuEngine(device, info);
}

/** With the kernels, and the work queued ahead, of a device that does not compute on the CPU. */
async function openAsGpu(): Promise<Engine> {
  const { device, info } = await requestDevice();
  return createWebGpuEngine(device, { ...info, vendor: '', device: '', description: 'a GPU' });
}

export const engines: EngineCase[] = [
  { name: 'reference', open: async () => new ReferenceEngine('f32') },
  { name: 'CPU', open: () => createCpuEngine() },
];
/** The same, and the way of GPUs on whatever driver there is. */
export const enginesAndGpu: EngineCase[] = [...engines];
try {
  (await openWebGpu()).destroy();
  engines.push({ name: 'WebGPU', open: openWebGpu });
  enginesAndGpu.push(engines.at(-1)!, { name: 'GPU', open: openAsGpu });
} catch (error) {
  console.warn(`Leaving out tests of the model on WebGPU: ${messageOf(error)}`);
}

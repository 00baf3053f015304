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

export const engines: EngineCase[] = [
  { name: 'reference', open: async () => new ReferenceEngine('f32') },
  { name: 'CPU', open: () => createCpuEngine() },
];
try {
  (await openWebGpu()).destroy();
  engines.push({ name: 'WebGPU', open: openWebGpu });
} catch (error) {
  console.warn(`Leaving out tests of the model on WebGPU: ${messageOf(error)}`);
}

/** Engines that tests of the model run on: the oracle, storing f32 as a device does, and WebGPU. */
import type { Engine } from '../../src/engine/engine.ts';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';

export interface EngineCase {
  readonly name: string;
  open(): Promise<Engine>;
}

export const engines: readonly EngineCase[] = [
  { name: 'reference', open: async () => new ReferenceEngine('f32') },
  {
    name: 'WebGPU',
    open: async () => {
      const { device, info } = await requestDevice();
      return createWebGpuEngine(device, info);
    },
  },
];

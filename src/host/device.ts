import { createCpuEngine } from '../engine/cpu/engine.ts';
import type { Engine } from '../engine/engine.ts';
import { createWebGpuEngine } from '../engine/webgpu/engine.ts';
import { requestDevice, requestGpu } from './gpu.ts';

/** `auto`: a GPU where there is one, else the CPU. `webgpu` also takes a driver that runs shaders on the CPU. */
export type DeviceChoice = 'auto' | 'webgpu' | 'cpu';

/** An engine on the chosen device of this host. */
export async function openEngine(choice: DeviceChoice): Promise<Engine> {
  if (choice === 'cpu') return await createCpuEngine();
  const found = choice === 'webgpu' ? await requestDevice() : await requestGpu();
  return found ? createWebGpuEngine(found.device, found.info) : await createCpuEngine();
}

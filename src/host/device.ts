import { createCpuEngine } from '../engine/cpu/engine.ts';
import type { Engine } from '../engine/engine.ts';
import { createWebGpuEngine } from '../engine/webgpu/engine.ts';
import { probeMatmul } from '../engine/webgpu/probe.ts';
import { requestDevice, requestGpu } from './gpu.ts';
import { defaultThreads, threadStarter } from './threads.ts';

/** `auto`: a GPU where there is one, else the CPU. `webgpu` also takes a driver that runs shaders on the CPU. */
export type DeviceChoice = 'auto' | 'webgpu' | 'cpu';

/** An engine on the chosen device of this host; `threads` are the CPU's, and no result depends on them. */
export async function openEngine(choice: DeviceChoice, threads = defaultThreads()): Promise<Engine> {
  const gpu =
    choice === 'webgpu' ? await requestDevice() : choice === 'auto' ? await requestGpu() : undefined;
  if (gpu)
    return createWebGpuEngine(gpu.device, gpu.info, { matmul: await probeMatmul(gpu.device, gpu.info) });
  return await createCpuEngine({ threads, startThreads: threadStarter() });
}

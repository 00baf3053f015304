import { createCpuEngine } from '../engine/cpu/engine.ts';
import type { Engine } from '../engine/engine.ts';
import { createWebGpuEngine } from '../engine/webgpu/engine.ts';
import { isOffered, probeMatmul } from '../engine/webgpu/probe.ts';
import { UserError } from '../errors.ts';
import { requestDevice, requestGpu } from './gpu.ts';
import { probeCache } from './probe_cache.ts';
import { defaultThreads, threadStarter } from './threads.ts';

/** `auto`: a GPU where there is one, else the CPU. `webgpu` also takes a driver that runs shaders on the CPU. */
export type DeviceChoice = 'auto' | 'webgpu' | 'cpu';

/** How an engine is opened. */
export interface OpenOptions {
  /** Of the CPU; no result depends on it. */
  readonly threads?: number;
  /** Bytes that a plan of memory is to keep below. */
  readonly memory?: number;
  /** Multiply in f16 and add up in f32, on GPUs that can: faster on many, and other results. */
  readonly half?: boolean;
}

/** An engine on the chosen device of this host. */
export async function openEngine(
  choice: DeviceChoice,
  { threads = defaultThreads(), memory, half = false }: OpenOptions = {},
): Promise<Engine> {
  const gpu =
    choice === 'webgpu' ? await requestDevice() : choice === 'auto' ? await requestGpu() : undefined;
  if (!gpu) return await createCpuEngine({ threads, startThreads: threadStarter(), memory });
  const { device, info } = gpu;
  if (half && !isOffered(device, 'half')) {
    device.destroy();
    throw new UserError(
      `products in half precision: expected a GPU with shader-f16, got ${info.description}`,
    );
  }
  const matmul = half ? 'half' : await probeMatmul(device, info, probeCache());
  const named = half ? { ...info, description: `${info.description}, products in half precision` } : info;
  return createWebGpuEngine(device, named, { matmul, memory });
}

import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import type { DeviceInfo, Engine } from '../../src/engine/engine.ts';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { requestDevice } from '../../src/host/gpu.ts';

/** Software drivers reduce a row in one invocation and take large tiles, GPUs not; the driver's name decides. */
export const variants = ['rows by invocation', 'rows by workgroup'] as const;

export type EngineName = 'cpu' | (typeof variants)[number];

export async function openEngine(variant: EngineName = variants[0]): Promise<Engine> {
  if (variant === 'cpu') return await createCpuEngine();
  const { device, info } = await requestDevice();
  const named: DeviceInfo = {
    ...info,
    vendor: '',
    device: '',
    description: variant === variants[0] ? 'SwiftShader' : 'a GPU',
  };
  return createWebGpuEngine(device, named);
}

import type { DeviceInfo, Engine } from '../engine.ts';
import { attentionOperations } from './attention.ts';
import { generationOperations } from './generation.ts';
import { Kernels } from './kernels.ts';
import { lossOperations } from './losses.ts';
import type { MatmulVariant } from './matmul.ts';
import { Recorder } from './recorder.ts';
import { tensorOperations } from './tensors.ts';
import { transformerOperations } from './transformer.ts';

/** Drivers that run shaders on the CPU. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render/i;

export function runsOnCpu({ vendor, device, description }: DeviceInfo): boolean {
  return SOFTWARE.test(`${vendor} ${device} ${description}`);
}

/** An engine on a WebGPU device, which it owns from now on. `matmul` changes speed alone. */
export function createWebGpuEngine(
  device: GPUDevice,
  info: DeviceInfo,
  matmul: MatmulVariant = 'registers',
): Engine {
  const recorder = new Recorder(device);
  const kernels = new Kernels(device, runsOnCpu(info));
  return {
    info,
    ...tensorOperations(recorder),
    ...transformerOperations(recorder, kernels, matmul),
    ...attentionOperations(recorder, kernels),
    ...lossOperations(recorder, kernels),
    ...generationOperations(recorder, kernels),
  };
}

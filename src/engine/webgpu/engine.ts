import type { DeviceInfo, Engine } from '../engine.ts';
import { attentionOperations } from './attention.ts';
import { generationOperations } from './generation.ts';
import { Kernels } from './kernels.ts';
import { lossOperations } from './losses.ts';
import type { MatmulVariant } from './matmul.ts';
import type { BufferLimits } from './memory.ts';
import { Recorder } from './recorder.ts';
import { tensorOperations } from './tensors.ts';
import { transformerOperations } from './transformer.ts';

/** Drivers that run shaders on the CPU. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render/i;

export function runsOnCpu({ vendor, device, description }: DeviceInfo): boolean {
  return SOFTWARE.test(`${vendor} ${device} ${description}`);
}

/** What the WebGPU engine makes of its device. */
export interface WebGpuEngineOptions {
  /** How large products are computed: speed alone. */
  readonly matmul?: MatmulVariant;
  /** Bytes of all buffers together, where a plan is to keep below it. */
  readonly memory?: number;
  /** Lower than the device's own: what the tests of small devices use. */
  readonly limits?: BufferLimits;
}

/** An engine on a WebGPU device, which it owns from now on. */
export function createWebGpuEngine(
  device: GPUDevice,
  info: DeviceInfo,
  { matmul = 'registers', memory, limits }: WebGpuEngineOptions = {},
): Engine {
  const recorder = new Recorder(device, limits, memory);
  const software = runsOnCpu(info);
  const operations = operationsOf(recorder, new Kernels(device, software), matmul);
  return { info, asynchronous: !software, ...operations };
}

/** All operations of a device, whose work `recorder` records. */
export function operationsOf(
  recorder: Recorder,
  kernels: Kernels,
  matmul: MatmulVariant = 'registers',
): Omit<Engine, 'info' | 'asynchronous'> {
  return {
    ...tensorOperations(recorder),
    ...transformerOperations(recorder, kernels, matmul),
    ...attentionOperations(recorder, kernels),
    ...lossOperations(recorder, kernels),
    ...generationOperations(recorder, kernels),
  };
}

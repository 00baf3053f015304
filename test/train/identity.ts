/**
 * Trains in every way on the CPU and on WebGPU, where there is one. Prints the digests as JSON, with the driver; in a page,
 * leaves them in `globalThis.result`.
 */
import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { trainingDigests } from './digests.ts';

const cpu = await createCpuEngine();
const device = await requestDevice().catch(() => undefined);
const gpu = device && createWebGpuEngine(device.device, device.info);
const result = {
  cpu: await trainingDigests(cpu),
  ...(gpu ? { driver: gpu.info.description, webgpu: await trainingDigests(gpu) } : {}),
};
cpu.destroy();
gpu?.destroy();
if (typeof document === 'undefined') console.log(JSON.stringify(result));
else Object.assign(globalThis, { result });

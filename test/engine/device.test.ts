import { expect, test } from 'vitest';
import { runsOnCpu } from '../../src/engine/webgpu/engine.ts';
import { openEngine } from '../../src/host/device.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { noGpu } from './support.ts';

test('the CPU names nothing of the host, so that manifests of different hosts compare', async () => {
  const engine = await openEngine('cpu');
  expect(engine.info).toEqual({
    engine: 'cpu',
    vendor: '',
    device: 'wasm',
    description: 'WebAssembly SIMD',
  });
  engine.destroy();
});

test('auto takes a GPU, but never a driver that runs shaders on the CPU', async () => {
  const isGpu = !noGpu && !runsOnCpu(await describeDevice());
  const engine = await openEngine('auto');
  expect(engine.info.engine).toBe(isGpu ? 'webgpu' : 'cpu');
  engine.destroy();
});

test.skipIf(noGpu)('webgpu takes whatever driver there is', async () => {
  const engine = await openEngine('webgpu');
  expect(engine.info).toEqual(await describeDevice());
  engine.destroy();
});

async function describeDevice() {
  const { device, info } = await requestDevice();
  device.destroy();
  return info;
}

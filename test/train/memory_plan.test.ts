/** The plan beside what the engines hold when the same work is done. */
import { describe, expect, it } from 'vitest';
import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import type { Engine } from '../../src/engine/engine.ts';
import type { SizedDevice } from '../../src/engine/sizing.ts';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { UserError } from '../../src/errors.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { generate } from '../../src/model/generate.ts';
import { addAdapter } from '../../src/model/policy.ts';
import { spaceOf } from '../../src/train/fit.ts';
import { fitSampling, type MemoryNeeds, planMemory } from '../../src/train/memory_plan.ts';
import { trainDpo } from '../../src/train/trainer.ts';
import { noGpu } from '../engine/support.ts';
import { hasFixtures, loadStories } from '../model/golden.ts';

/** A plan counts scratch of eight threads, and every batch as the largest. */
const TOLERANCE = 0.15;

async function openCpu(): Promise<{ engine: Engine; device: SizedDevice }> {
  return { engine: await createCpuEngine(), device: 'cpu' };
}

async function openWebGpu(): Promise<{ engine: Engine; device: SizedDevice }> {
  const { device, info } = await requestDevice();
  return { engine: createWebGpuEngine(device, info), device: device.limits };
}

const cases: [string, typeof openCpu][] = [['CPU', openCpu]];
if (!noGpu) cases.push(['WebGPU', openWebGpu]);

const LORA = { r: 8, lora_alpha: 16, target_modules: ['all-linear'] };
const SIZES = { promptTokens: 40, newTokens: 24, responses: 8, generationBatch: 64, trainBatch: 32 };
const ids = (length: number, first: number) => [first, ...new Array<number>(length - 1).fill(300)];

describe.skipIf(!hasFixtures).each(cases)('a plan of memory for the %s engine', (_, open) => {
  it('says what sampling and training come to hold', async () => {
    const first = await open();
    const policy = await loadStories(first.engine);
    const needs: MemoryNeeds = { config: policy.config, device: first.device, lora: LORA, ...SIZES };
    const plan = await planMemory(needs);
    expect([plan.generationBatch, plan.trainBatch]).toEqual([64, 32]);

    const rows = Array.from({ length: 64 }, (_, row) => ({
      ids: ids(40, 260 + Math.floor(row / 8)),
      stream: [0, row] as const,
    }));
    addAdapter(policy, LORA, 1);
    await generate({ ...policy, eosIds: [] }, rows, { maxNewTokens: 24, key: [1, 2] });
    const sampled = first.engine.memory().peak;
    expect(sampled).toBeLessThanOrEqual(plan.sampling);
    expect(sampled).toBeGreaterThan((1 - TOLERANCE) * plan.sampling);
    first.engine.destroy();

    const second = await open();
    const trained = await loadStories(second.engine);
    addAdapter(trained, LORA, 1);
    const pairs = Array.from({ length: 16 }, (_, i) => ({
      promptIds: ids(40, 260),
      chosenIds: ids(24, 2 * i + 3),
      rejectedIds: ids(24, 2 * i + 4),
    }));
    const zeros = new Float32Array(16);
    const reference = { chosen: zeros, rejected: zeros };
    await trainDpo(trained, pairs, { max_steps: 1, per_device_train_batch_size: 16 }, { reference });
    const peak = second.engine.memory().peak;
    expect(peak).toBeLessThanOrEqual(plan.training);
    expect(peak).toBeGreaterThan((1 - TOLERANCE) * plan.training);
    second.engine.destroy();

    const named = new Map(plan.items.map(({ name, bytes }) => [name, bytes]));
    const { layers, keyValueHeads, headDim } = policy.config;
    expect(named.get('sampling: keys and values')).toBe(2 * layers * 64 * 64 * keyValueHeads * headDim * 4);
    expect(plan.items.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThan(plan.training);
  });

  it('finds the batches that fit, or says that none does', async () => {
    const { engine, device } = await open();
    const { config } = await loadStories(engine);
    engine.destroy();
    const needs: MemoryNeeds = { config, device, lora: LORA, ...SIZES };
    const whole = await planMemory(needs);
    expect(whole.gradientCheckpointing).toBe(false);
    const again = await planMemory({ ...needs, limit: 0.8 * whole.training });
    expect(again).toMatchObject({ trainBatch: 32, gradientCheckpointing: true });
    expect(again.training).toBeLessThan(0.8 * whole.training);
    const limit = 0.7 * again.training;
    const fitted = await planMemory({ ...needs, limit });
    expect(fitted.trainBatch).toBeLessThan(32);
    expect(fitted.training).toBeLessThanOrEqual(limit);
    const twice = { ...needs, trainBatch: 2 * fitted.trainBatch, gradientCheckpointing: true };
    expect((await planMemory(twice)).training).toBeGreaterThan(limit);
    await expect(planMemory({ ...needs, limit: 2 ** 20 })).rejects.toThrow(UserError);
    await expect(planMemory({ ...needs, limit: 2 ** 20 })).rejects.toThrow(
      /^memory: with one response at a time, sampling takes \d+ MiB, more than 1 MiB; use --dtype/,
    );
  });
});

it.skipIf(!hasFixtures)('sampling takes as many responses at once as there is room for', async () => {
  const engine = await createCpuEngine();
  const policy = await loadStories(engine);
  const sizes = { promptTokens: 40, newTokens: 24, responses: 8, asked: 64 };
  const space = spaceOf(policy, LORA);
  expect((await fitSampling(space, sizes)).batch).toBe(64);
  const most = 8 * 2 ** 20;
  const { batch, bytes } = await fitSampling({ ...space, most }, sizes);
  expect(batch).toBeGreaterThan(1);
  expect(batch).toBeLessThan(64);
  expect(bytes).toBeLessThanOrEqual(most);
});

it('a GPU that binds too little for a tensor gets smaller batches', async () => {
  if (!hasFixtures) return;
  const { config } = await loadStories(await createCpuEngine());
  const device = { maxStorageBufferBindingSize: 2 ** 20, maxBufferSize: 2 ** 28 };
  const plan = await planMemory({ config, device, lora: LORA, ...SIZES });
  expect(plan.trainBatch).toBeLessThan(32);
  expect(plan.limit).toBeUndefined();
});

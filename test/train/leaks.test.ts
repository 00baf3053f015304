/** A thousand steps of training and of sampling: neither engine, nor the device itself, holds more at the end than early on. */
import { describe, expect, it } from 'vitest';
import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { generate } from '../../src/model/generate.ts';
import { addAdapter, loadPolicy } from '../../src/model/policy.ts';
import { referenceLogps } from '../../src/train/dpo.ts';
import { trainDpo } from '../../src/train/trainer.ts';
import { noGpu } from '../engine/support.ts';
import { tinyFolder } from '../model/tiny.ts';

const STEPS = 1000;
/** By then every shape has come by, and every buffer has been made. */
const SETTLED = 400;

interface Opened {
  readonly engine: Engine;
  /** Bytes that the device itself has given and not got back. */
  deviceBytes(): number;
}

async function openCpu(): Promise<Opened> {
  const engine = await createCpuEngine();
  return { engine, deviceBytes: () => engine.memory().held };
}

/** Counts every buffer that the device makes, whoever asks for it. */
async function openWebGpu(): Promise<Opened> {
  const { device, info } = await requestDevice();
  let bytes = 0;
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    const destroy = buffer.destroy.bind(buffer);
    bytes += buffer.size;
    buffer.destroy = () => {
      bytes -= buffer.size;
      destroy();
    };
    return buffer;
  };
  return { engine: createWebGpuEngine(device, info), deviceBytes: () => bytes };
}

/** Without an end of its own, so that every step is made. */
function oneLayer() {
  return tinyFolder({ num_hidden_layers: 1, eos_token_id: null }, (tensors) => {
    for (const key of tensors.keys()) if (key.startsWith('model.layers.1.')) tensors.delete(key);
  });
}

const cases: [string, () => Promise<Opened>][] = [['CPU', openCpu]];
if (!noGpu) cases.push(['WebGPU', openWebGpu]);

describe.each(cases)('on the %s engine', (_, open) => {
  it(`nothing is left over by ${STEPS} steps of DPO`, async () => {
    const { engine, deviceBytes } = await open();
    const policy = await loadPolicy(engine, await oneLayer());
    addAdapter(policy, { r: 2, lora_alpha: 4, target_modules: ['q_proj'] }, 3);
    const pairs = Array.from({ length: 5 }, (_, i) => ({
      promptIds: [1, 3 + i],
      chosenIds: Array.from({ length: 1 + i }, (_, t) => 4 + t),
      rejectedIds: Array.from({ length: 1 + ((i * 3) % 4) }, (_, t) => 9 + t),
    }));
    const reference = await referenceLogps(policy, pairs);
    policy.workspace.free();
    const before = engine.memory().live;
    let early = 0;
    let late = 0;
    const config = { max_steps: STEPS, per_device_train_batch_size: 2, save_steps: 100, learning_rate: 1e-3 };
    await trainDpo(policy, pairs, config, {
      reference,
      onCheckpoint: (_, step) => {
        if (step === SETTLED) early = deviceBytes();
        late = deviceBytes();
      },
    });
    expect(early).toBeGreaterThan(0);
    expect(late).toBe(early);
    expect(engine.memory().held).toBe(deviceBytes());
    policy.workspace.free();
    expect(engine.memory().live).toBeLessThanOrEqual(before);
    engine.destroy();
  });

  it(`nothing is left over by ${STEPS} steps of sampling`, async () => {
    const { engine, deviceBytes } = await open();
    const policy = await loadPolicy(engine, await oneLayer());
    addAdapter(policy, { r: 2, lora_alpha: 4, target_modules: ['q_proj'] }, 3);
    let before = 0;
    let early = 0;
    for (let step = 0, call = 0; step < STEPS; step += 25, call++) {
      const rows = Array.from({ length: 1 + (call % 3) }, (_, row) => ({
        ids: Array.from({ length: 1 + ((call + row) % 4) }, (_, t) => 3 + t),
        stream: [call, row] as const,
      }));
      const options = { maxNewTokens: 25, key: [1, 2] as const, repetitionPenalty: 1 + (call % 2) / 5 };
      await generate(policy, rows, options);
      if (call === 0) {
        policy.workspace.free();
        before = engine.memory().live;
      }
      if (step === SETTLED) early = deviceBytes();
    }
    expect(early).toBeGreaterThan(0);
    expect(deviceBytes()).toBe(early);
    expect(engine.memory().held).toBe(deviceBytes());
    policy.workspace.free();
    expect(engine.memory().live).toBeLessThanOrEqual(before);
    engine.destroy();
  });
});

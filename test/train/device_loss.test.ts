/** The device goes away in the middle of training: a clear error, a whole checkpoint, and the same adapter in the end. */
import { describe, expect, it } from 'vitest';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { UserError } from '../../src/errors.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { generate } from '../../src/model/generate.ts';
import { addAdapter, loadPolicy } from '../../src/model/policy.ts';
import { checkpointStep } from '../../src/train/checkpoint.ts';
import { type DpoHooks, trainDpo } from '../../src/train/trainer.ts';
import { noGpu } from '../engine/support.ts';
import { tinyFolder } from '../model/tiny.ts';

const pairs = [0, 1, 2].map((i) => ({
  promptIds: [1, 3 + i],
  chosenIds: [4, 5 + i, 2],
  rejectedIds: [7, 8, 9 + i, 2],
}));
const LORA = { r: 2, lora_alpha: 4, target_modules: ['q_proj', 'down_proj'] };
const config = { max_steps: 24, per_device_train_batch_size: 2, save_steps: 5, learning_rate: 1e-2 };

async function open() {
  const { device, info } = await requestDevice();
  const engine = createWebGpuEngine(device, info);
  const policy = await loadPolicy(engine, await tinyFolder());
  addAdapter(policy, LORA, 3);
  return { device, engine, policy };
}

describe.skipIf(noGpu)('when the device is lost', () => {
  it('training ends with a clear error, and goes on from its checkpoint on a new device to the same bits', async () => {
    const { device, engine, policy } = await open();
    let checkpoint: Uint8Array | undefined;
    const training = trainDpo(policy, pairs, config, {
      onMetrics: ({ step }) => {
        if (step === 17) device.destroy();
      },
      onCheckpoint: (bytes) => {
        checkpoint = bytes;
      },
    });
    await expect(training).rejects.toThrow(UserError);
    await expect(training).rejects.toThrow(
      /^The GPU device was lost \(.+\)\. Try the same again: on a new device, it goes on from the last checkpoint\./,
    );
    expect([10, 15]).toContain(checkpointStep(checkpoint!));
    const lost = /^The GPU device was lost \(/;
    const sampling = generate(policy, [{ ids: [1, 3], stream: [0, 0] }], { maxNewTokens: 4, key: [1, 2] });
    await expect(sampling).rejects.toThrow(lost);
    expect(() => engine.add(policy.weights.norm, policy.weights.norm)).toThrow(lost);

    const again = await open();
    const finish = async (hooks: DpoHooks) => {
      addAdapter(again.policy, LORA, 3);
      await trainDpo(again.policy, pairs, config, hooks);
      return await again.policy.adapter!.read();
    };
    const whole = await finish({});
    expect(await finish({ resume: checkpoint })).toEqual(whole);
    again.engine.destroy();
  });

  it('memory that runs out ends training with a clear error and the last checkpoint whole', async () => {
    const { device, policy } = await open();
    let checkpoint: Uint8Array | undefined;
    const training = trainDpo(policy, pairs, config, {
      onMetrics: ({ step }) => {
        if (step !== 17) return;
        // What a driver reports that has no more memory to give.
        const error = new GPUOutOfMemoryError('buffer of 4096 bytes');
        device.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error }));
      },
      onCheckpoint: (bytes) => {
        checkpoint = bytes;
      },
    });
    await expect(training).rejects.toThrow(UserError);
    await expect(training).rejects.toThrow(
      /^The GPU ran out of memory \(buffer of 4096 bytes\); use a smaller batch or a shorter sequence/,
    );
    expect([10, 15]).toContain(checkpointStep(checkpoint!));
    device.destroy();

    const again = await open();
    const finish = async (hooks: DpoHooks) => {
      addAdapter(again.policy, LORA, 3);
      await trainDpo(again.policy, pairs, config, hooks);
      return await again.policy.adapter!.read();
    };
    expect(await finish({ resume: checkpoint })).toEqual(await finish({}));
    again.engine.destroy();
  });
});

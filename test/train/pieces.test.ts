/** A model whose embedding and head are larger than the device binds: sampled and trained to the same bits. */
import { describe, expect, it } from 'vitest';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import type { Dtype } from '../../src/model/dtype.ts';
import { generate } from '../../src/model/generate.ts';
import { addAdapter, loadPolicy } from '../../src/model/policy.ts';
import { Random } from '../../src/random.ts';
import { referenceLogps } from '../../src/train/dpo.ts';
import { weightsTrainable } from '../../src/train/trainable.ts';
import { trainDpo } from '../../src/train/trainer.ts';
import { noGpu } from '../engine/support.ts';
import { tinyFolder } from '../model/tiny.ts';

const VOCABULARY = 4000;
/** Two pieces for each table of f32. */
const LIMIT = 90_000;

function largeFolder(tied: boolean) {
  return tinyFolder({ vocab_size: VOCABULARY, tie_word_embeddings: tied }, (tensors) => {
    const random = new Random([7, 8]);
    for (const key of ['model.embed_tokens.weight', 'lm_head.weight']) {
      const data = Float32Array.from({ length: VOCABULARY * 10 }, () => random.uniform() - 0.5);
      tensors.set(key, { shape: [VOCABULARY, 10], data });
    }
    if (tied) tensors.delete('lm_head.weight');
  });
}

const pairs = [
  { promptIds: [1, 3999], chosenIds: [2047, 2], rejectedIds: [2048, 2] },
  { promptIds: [1, 2050], chosenIds: [5, 2], rejectedIds: [3998, 2] },
];
const settings = { max_steps: 2, per_device_train_batch_size: 1, learning_rate: 1e-2, weight_decay: 0.1 };

async function open(tied: boolean, limit: number | undefined, dtype: Dtype = 'float32') {
  const { device, info } = await requestDevice();
  const limits = limit ? { maxStorageBufferBindingSize: limit, maxBufferSize: limit } : undefined;
  return await loadPolicy(createWebGpuEngine(device, info, { limits }), await largeFolder(tied), { dtype });
}

async function sampled(limit: number | undefined, dtype: Dtype) {
  const policy = await open(false, limit, dtype);
  addAdapter(policy, { r: 2, lora_alpha: 4, target_modules: ['q_proj', 'up_proj'] }, 3);
  const reference = await referenceLogps(policy, pairs, { batchTokens: 4 });
  await trainDpo(policy, pairs, settings, { reference });
  const rows = [1, 2049, 3999].map((id, i) => ({ ids: [1, id], stream: [0, i] as const }));
  const responses = await generate(policy, rows, { maxNewTokens: 5, key: [1, 2], repetitionPenalty: 1.2 });
  const adapter = await policy.adapter!.read();
  policy.engine.destroy();
  return { responses, adapter };
}

async function trained(tied: boolean, limit: number | undefined) {
  const policy = await open(tied, limit);
  const { engine } = policy;
  const trainable = weightsTrainable(policy);
  const norms: number[] = [];
  const checkpoints: string[] = [];
  const hooks = {
    reference: await referenceLogps(policy, pairs, { batchTokens: 4 }),
    onMetrics: ({ grad_norm }: { grad_norm: number }) => void norms.push(grad_norm),
    onCheckpoint: (bytes: Uint8Array) => void checkpoints.push(Buffer.from(bytes).toString('base64')),
  };
  await trainDpo(policy, pairs, { ...settings, save_steps: 1 }, hooks, trainable);
  const values = await Promise.all(trainable.groups.map(({ parameters }) => engine.read(parameters)));
  engine.destroy();
  return { norms, values: values.map((each) => Buffer.from(each.buffer).toString('base64')), checkpoints };
}

describe.skipIf(noGpu)('on a device that binds half a table', () => {
  it.each(['float32', 'float16'] as const)(
    'LoRA and sampling with weights as %s give the same bits',
    async (dtype) => {
      const whole = await sampled(undefined, dtype);
      const limit = dtype === 'float32' ? LIMIT : 70_000;
      expect(await sampled(limit, dtype)).toEqual(whole);
      expect(whole.responses.flatMap(({ ids }) => ids).some((id) => id >= 2048)).toBe(true);
    },
  );

  it.each([true, false])('all weights are trained to the same bits; tied: %s', async (tied) => {
    const whole = await trained(tied, undefined);
    expect(await trained(tied, LIMIT)).toEqual(whole);
    expect(whole.norms.every((norm) => norm > 0)).toBe(true);
  });
});

/** What a step asks of a WebGPU device once every shape has come by: nothing is made anew, and nothing is waited for. */
import { describe, expect, it } from 'vitest';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { generate } from '../../src/model/generate.ts';
import { addAdapter, loadPolicy } from '../../src/model/policy.ts';
import { referenceLogps } from '../../src/train/dpo.ts';
import { trainDpo } from '../../src/train/trainer.ts';
import { noGpu } from '../engine/support.ts';
import { tinyFolder } from '../model/tiny.ts';

const CALLS = [
  'createBuffer',
  'createBindGroup',
  'createShaderModule',
  'createComputePipeline',
  'createCommandEncoder',
] as const;

type Counts = Record<(typeof CALLS)[number] | 'mapAsync' | 'submit', number>;

async function open() {
  const { device, info } = await requestDevice();
  const counts: Counts = {
    createBuffer: 0,
    createBindGroup: 0,
    createShaderModule: 0,
    createComputePipeline: 0,
    createCommandEncoder: 0,
    mapAsync: 0,
    submit: 0,
  };
  const count = <K extends keyof Counts>(
    target: object,
    name: K,
    after: (made: unknown) => void = () => {},
  ) => {
    const method = Reflect.get(target, name) as (...given: unknown[]) => unknown;
    Reflect.set(target, name, (...given: unknown[]) => {
      counts[name]++;
      const made = method.apply(target, given);
      after(made);
      return made;
    });
  };
  for (const name of CALLS) {
    count(device, name, (made) => {
      if (name === 'createBuffer') count(made as object, 'mapAsync');
    });
  }
  const { queue } = device;
  const submit = queue.submit.bind(queue);
  Object.defineProperty(device, 'queue', {
    value: {
      submit: (buffers: GPUCommandBuffer[]) => {
        counts.submit++;
        submit(buffers);
      },
      writeBuffer: queue.writeBuffer.bind(queue),
      onSubmittedWorkDone: () => queue.onSubmittedWorkDone(),
    },
  });
  const policy = await loadPolicy(createWebGpuEngine(device, info), await tinyFolder({ eos_token_id: null }));
  return { policy, counts };
}

describe.skipIf(noGpu)('recording', () => {
  it('a step of training makes nothing anew and reads nothing; metrics of eight steps are read at once', async () => {
    const { policy, counts } = await open();
    addAdapter(policy, { r: 2, lora_alpha: 4, target_modules: ['all-linear'] }, 3);
    const pairs = [0, 1, 2, 3].map((i) => ({
      promptIds: [1, 3 + i],
      chosenIds: [4, 5 + i, 2],
      rejectedIds: [7, 8, 9 + i],
    }));
    const reference = await referenceLogps(policy, pairs);
    const at = new Map<number, Counts>();
    await trainDpo(
      policy,
      pairs,
      { max_steps: 40, per_device_train_batch_size: 2, gradient_accumulation_steps: 2, learning_rate: 1e-3 },
      { reference, onMetrics: ({ step }) => void at.set(step, { ...counts }) },
    );
    // Metrics of eight steps come with one read.
    const [before, after] = [at.get(16)!, at.get(32)!];
    const made = Object.fromEntries(
      Object.entries(after).map(([name, value]) => [name, value - before[name as keyof Counts]]),
    );
    expect(made).toMatchObject({
      createBuffer: 0,
      createBindGroup: 0,
      createShaderModule: 0,
      createComputePipeline: 0,
      mapAsync: 2,
    });
    // A command buffer can be submitted once: one is recorded for every submission, from what the steps before made.
    expect(made.createCommandEncoder).toBe(made.submit);
    policy.engine.destroy();
  });

  it('decoding reads every sixteen tokens, and a second batch of the same shape makes nothing anew', async () => {
    const { policy, counts } = await open();
    const rows = [0, 1, 2].map((i) => ({ ids: [1, 3 + i], stream: [0, i] as const }));
    const options = { maxNewTokens: 30, key: [1, 2] as const, temperature: 0.8, stop: ['never'] };
    await generate(policy, rows, options);
    const before = { ...counts };
    await generate(policy, rows, options);
    for (const name of ['createBuffer', 'createBindGroup', 'createComputePipeline'] as const) {
      expect(counts[name] - before[name], name).toBe(0);
    }
    // Tokens and two log-probabilities, after 16 and after 30 tokens.
    expect(counts.mapAsync - before.mapAsync).toBe(2 * 3);
    policy.engine.destroy();
  });
});

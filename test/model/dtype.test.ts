import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { storedTensor } from '../../src/data/safetensors.ts';
import { createCpuEngine } from '../../src/engine/cpu/engine.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { quantize } from '../../src/engine/quantize.ts';
import { UserError } from '../../src/errors.ts';
import { DiskFolder } from '../../src/host/disk.ts';
import { type DtypeChoice, uploadTensor } from '../../src/model/dtype.ts';
import { generate } from '../../src/model/generate.ts';
import { sequenceLogps } from '../../src/model/logps.ts';
import { addAdapter, loadPolicy, type Policy } from '../../src/model/policy.ts';
import { keyOf } from '../../src/random.ts';
import { type PreferencePair, referenceLogps } from '../../src/train/dpo.ts';
import { trainDpo } from '../../src/train/trainer.ts';
import { MemoryFolder } from '../support/memory_folder.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';
import { decodeWeights } from '../support/weight_formats.ts';
import { engines } from './engines.ts';
import { hasFixtures, loadStories, storiesPath } from './golden.ts';
import { tinyFolder, tinyWeights } from './tiny.ts';

const lora = { r: 4, lora_alpha: 8, target_modules: ['all-linear'] };

/** The tiny model with each matrix replaced by what a dtype makes of it. */
async function rounded(dtype: Exclude<DtypeChoice, 'auto' | 'float32'>) {
  return await tinyFolder({}, (tensors) => {
    for (const [key, tensor] of tensors) {
      if (tensor.shape.length < 2) continue;
      const linear = !/embed_tokens|lm_head/.test(key);
      const format = dtype === 'float16' ? 'f16' : dtype === 'bfloat16' || !linear ? 'bf16' : 'nf4';
      tensor.data = decodeWeights(quantize(tensor.data, format), tensor.data.length, format);
    }
  });
}

const completions = [
  { promptIds: [1, 3, 4], completionIds: [6, 8, 3, 10] },
  { promptIds: [1, 5], completionIds: [9, 2] },
];

describe('a large tensor', () => {
  it.each(['f16', 'bf16', 'nf4'] as const)('has the bits of all of it in %s, made part by part', (format) => {
    const shape = [3, 50_001];
    const values = Float32Array.from({ length: 150_003 }, (_, i) => Math.sin(i) * 2 ** -(i % 20));
    const bytes = new Uint8Array(values.buffer);
    const engine = new ReferenceEngine();
    const tensor = uploadTensor(engine, storedTensor('F32', shape, bytes), format, 'large');
    const expected = decodeWeights(quantize(values, format), values.length, format);
    expect(engine.values(tensor)).toEqual(Float64Array.from(expected));
  });
});

describe.each(engines)('a policy in few bits, $name', ({ open }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await open();
  });
  afterAll(() => engine?.destroy());

  it.each(['float16', 'bfloat16', 'nf4'] as const)(
    'in %s has the bits of its rounded weights',
    async (dtype) => {
      const few = await loadPolicy(engine, await tinyFolder(), { dtype });
      const plain = await loadPolicy(engine, await rounded(dtype), { dtype: 'float32' });
      const exact = await loadPolicy(engine, await tinyFolder(), { dtype: 'float32' });
      const logps = await sequenceLogps(few, completions);
      expect(logps).toEqual(await sequenceLogps(plain, completions));
      expect(logps).not.toEqual(await sequenceLogps(exact, completions));
      const pairs = [{ promptIds: [1, 3, 4], chosenIds: [6, 8, 3, 10], rejectedIds: [7, 2] }];
      const trained = await Promise.all([few, plain].map((policy) => train(policy, pairs, 3)));
      expect(trained[0]).toEqual(trained[1]);
    },
  );
});

async function train(policy: Policy, pairs: readonly PreferencePair[], steps: number) {
  const adapter = addAdapter(policy, lora, 3);
  const reference = await referenceLogps(policy, pairs);
  const losses: number[] = [];
  const config = { max_steps: steps, per_device_train_batch_size: pairs.length, learning_rate: 5e-3 };
  await trainDpo(policy, pairs, config, { reference, onMetrics: ({ loss }) => void losses.push(loss) });
  return { losses, parameters: await adapter.read() };
}

describe.skipIf(!hasFixtures).each(engines.filter(({ name }) => name !== 'reference'))(
  'stories260K in nf4, $name',
  ({ open }) => {
    it('learns preferences with LoRA, the same bits twice, and samples with the adapter beside its weights', async () => {
      const engine = await open();
      const policy = await loadPolicy(engine, new DiskFolder(storiesPath), { dtype: 'nf4' });
      const encode = (text: string) => policy.tokenizer.encode(text, false);
      const pairs = ['Lily', 'Tom', 'Sue', 'Ben'].map((name) => ({
        promptIds: policy.tokenizer.encode('Once upon a time'),
        chosenIds: encode(`, ${name} was happy and played.`),
        rejectedIds: encode(`, ${name} was sad and cried.`),
      }));
      const first = await train(policy, pairs, 6);
      expect(first.losses[0]).toBeCloseTo(Math.log(2), 5);
      expect(first.losses.at(-1)).toBeLessThan(0.9 * Math.log(2));
      expect(await train(policy, pairs, 6)).toEqual(first);

      const rows = [{ ids: policy.tokenizer.encode('Once upon a time'), stream: [0, 0] as const }];
      const sampling = { maxNewTokens: 12, temperature: 0, key: keyOf(1, 'sample') };
      const [adapted] = await generate(policy, rows, sampling);
      const [plain] = await generate(policy, rows, { ...sampling, adapter: false });
      expect(adapted.ids).not.toEqual(plain.ids);
      // What is sampled greedily is the most likely continuation to what scores it.
      const [likely, unlikely] = await sequenceLogps(
        policy,
        [adapted, plain].map(({ ids }) => ({ promptIds: rows[0].ids, completionIds: ids })),
      );
      expect(likely).toBeGreaterThan(unlikely);
      engine.destroy();
    });
  },
);

describe.skipIf(!hasFixtures)('what a format costs', () => {
  it.each([
    ['float16', 1e-2],
    ['bfloat16', 0.1],
    ['nf4', 2],
  ] as const)('%s moves the log-probability of a sentence a little', async (dtype, most) => {
    const engine = await createCpuEngine();
    const exact = await loadStories(engine);
    const few = await loadPolicy(engine, new DiskFolder(storiesPath), { dtype });
    const promptIds = exact.tokenizer.encode('Once upon a time');
    const completionIds = exact.tokenizer.encode(', there was a little girl named Lily.', false);
    const [[a], [b]] = await Promise.all(
      [exact, few].map((each) => sequenceLogps(each, [{ promptIds, completionIds }])),
    );
    expect(Math.abs(a - b)).toBeGreaterThan(0);
    expect(Math.abs(a - b)).toBeLessThan(most);
    engine.destroy();
  });
});

/** A folder of a model whose weights are all holes: its header says where they would be. */
class Hollow extends MemoryFolder {
  #size = 0;

  async describe(dtype: string, shapes: Record<string, number[]>): Promise<void> {
    const header: Record<string, unknown> = {};
    let at = 0;
    for (const [key, shape] of Object.entries(shapes)) {
      const bytes = shape.reduce((product, size) => product * size, dtype === 'F32' ? 4 : 2);
      header[key] = { dtype, shape, data_offsets: [at, at + bytes] };
      at += bytes;
    }
    const json = new TextEncoder().encode(JSON.stringify(header));
    const file = new Uint8Array(8 + json.length);
    new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
    file.set(json, 8);
    await this.write('model.safetensors', file);
    this.#size = file.length + at;
  }

  override async readRange(path: string, begin: number, end: number): Promise<Uint8Array> {
    if (end > (await super.size(path))) throw new UserError('the weights are holes');
    return await super.readRange(path, begin, end);
  }

  override async size(path: string): Promise<number> {
    return path === 'model.safetensors' ? this.#size : await super.size(path);
  }
}

describe('a model that does not fit', () => {
  const [hidden, inner, vocab, layers] = [2048, 8192, 128_256, 16];

  /** Llama-3.2-1B with a head of its own, but for its words: 1.5 billion weights. */
  async function large(dtype: string): Promise<Hollow> {
    const folder = new Hollow();
    const config = {
      hidden_size: hidden,
      intermediate_size: inner,
      num_hidden_layers: layers,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      head_dim: 64,
      vocab_size: vocab,
    };
    const tiny = await tinyFolder(config);
    for (const file of ['config.json', 'tokenizer.json']) await folder.write(file, await tiny.readText(file));
    const shapes: Record<string, number[]> = {};
    for (const [key, { shape }] of tinyWeights()) {
      const sizes: Record<number, number> = { 10: hidden, 14: inner, 18: vocab, 32: 2048, 16: 512 };
      const scaled = shape.map((size) => sizes[size]);
      if (!key.includes('.layers.')) shapes[key] = scaled;
      else if (key.includes('.layers.0.'))
        for (let layer = 0; layer < layers; layer++) shapes[key.replace('.0.', `.${layer}.`)] = scaled;
    }
    await folder.describe(dtype, shapes);
    return folder;
  }

  it('is refused before anything is loaded, with the sizes and what would fit', async () => {
    const engine = await createCpuEngine();
    const failure = async (stored: string, dtype?: DtypeChoice) => {
      const error = await loadPolicy(engine, await large(stored), { dtype }).catch((error) => error);
      return error instanceof UserError ? error.message : error;
    };
    const refused =
      'memory: its weights take 5.58 GiB in float32 and the smallest computation 0.13 GiB, more than the 4.00 GiB that ' +
      'this device addresses; use --dtype bfloat16 (2.79 GiB), or use --dtype nf4 (1.49 GiB), or use a GPU (--device webgpu), ' +
      'or use a smaller model';
    expect(await failure('F32')).toBe(refused);
    expect(await failure('BF16', 'float32')).toBe(refused);
    // What fits is read.
    for (const [stored, dtype] of [['BF16'], ['F32', 'bfloat16'], ['F32', 'nf4']] as const)
      expect(await failure(stored, dtype)).toBe('the weights are holes');
    engine.destroy();
  });
});

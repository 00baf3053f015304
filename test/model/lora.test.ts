import { describe, expect, it } from 'vitest';
import { parseSafetensors } from '../../src/data/safetensors.ts';
import { UserError } from '../../src/errors.ts';
import { Adapter } from '../../src/model/lora.ts';
import { loadAdapter, saveAdapter } from '../../src/model/peft.ts';
import { addAdapter, loadPolicy } from '../../src/model/policy.ts';
import { dpoGradients } from '../../src/train/dpo.ts';
import type { Window } from '../../src/train/recorder.ts';
import { MemoryFolder } from '../support/memory_folder.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';
import { goldenTensors, hasFixtures, loadStories } from './golden.ts';
import { tinyFolder } from './tiny.ts';

const everything = { r: 2, lora_alpha: 3, target_modules: ['all-linear'] };
const loadTiny = async (engine = new ReferenceEngine()) => loadPolicy(engine, await tinyFolder());

describe('Adapter', () => {
  it("starts as PEFT's does: B zero, A uniform within 1/√in, the same for one seed", async () => {
    const policy = await loadTiny();
    const values = await addAdapter(policy, everything, 3).read();
    const adapter = policy.adapter!;
    const all: number[] = [];
    for (const { key, shape, offset } of adapter.entries()) {
      const part = values.subarray(offset, offset + shape[0] * shape[1]);
      const scaled = Array.from(part, (value) => value * Math.sqrt(shape[1]));
      if (key.endsWith('lora_B.weight')) expect(Math.max(...part.map(Math.abs))).toBe(0);
      else all.push(...scaled);
    }
    const variance = all.reduce((sum, value) => sum + value * value, 0) / all.length;
    expect(Math.max(...all.map(Math.abs))).toBeLessThanOrEqual(1);
    expect(variance).toBeCloseTo(1 / 3, 1);
    expect(await addAdapter(policy, everything, 3).read()).toEqual(values);
    expect(await addAdapter(policy, everything, 4).read()).not.toEqual(values);
  });

  it("targets layers by name, by path and by the end of a path, and leaves the others' factors the same", async () => {
    const policy = await loadTiny();
    const keysOf = (target_modules: string | string[]) =>
      [...new Adapter(policy.engine, policy.config, { ...everything, target_modules }).entries()].map(
        ({ key }) => key,
      );
    expect(keysOf(['q_proj'])).toEqual([
      'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight',
      'base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight',
      'base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight',
      'base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight',
    ]);
    expect(keysOf(['model.layers.1.mlp.up_proj', 'layers.0.mlp.down_proj'])).toHaveLength(4);
    expect(keysOf(['all-linear'])).toHaveLength(28);
    expect(keysOf('all-linear')).toHaveLength(28);
    // PEFT matches a string as a regular expression of the whole path.
    expect(keysOf('.*\\.(q|v)_proj')).toHaveLength(8);
    expect(keysOf('model\\.layers\\.1\\..*_proj')).toHaveLength(14);
    expect(() => keysOf('(q|v)_proj')).toThrow(/target_modules \(q\|v\)_proj match no linear layer/);
    expect(() => keysOf('.*(q_proj|lm_head)')).toThrow(/matches lm_head, which gets no factors/);
    expect(() => keysOf('.*')).toThrow(/matches lm_head/);
    expect(() => keysOf('.*(q_proj')).toThrow(/as names or a regular expression, got \.\*\(q_proj/);
    expect(() => keysOf(['q_proj', 'lm_head'])).toThrow(/target_modules lm_head match no linear layer/);
    expect(() => keysOf([])).toThrow(UserError);
  });

  it.skipIf(!hasFixtures)('names its factors as PEFT does', async () => {
    const policy = await loadStories(new ReferenceEngine());
    const adapter = new Adapter(policy.engine, policy.config, {
      r: 4,
      lora_alpha: 8,
      target_modules: ['all-linear'],
    });
    const sizes = new Map([...adapter.entries()].map(({ key, shape }) => [key, shape[0] * shape[1]]));
    const expected = new Map(
      [...goldenTensors('lora_init.safetensors')].map(([key, { length }]) => [key, length]),
    );
    expect(sizes).toEqual(expected);
  });
});

describe('PEFT folders', () => {
  it('are read back as they were saved', async () => {
    const policy = await loadTiny();
    const adapter = addAdapter(policy, { ...everything, target_modules: ['v_proj', 'down_proj'] }, 3);
    const folder = new MemoryFolder();
    await saveAdapter(adapter, folder, 'models/tiny');
    const { tensors } = parseSafetensors(folder.files.get('adapter_model.safetensors')!, 'adapter');
    expect(tensors.get('base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight')!.shape).toEqual([
      2, 10,
    ]);
    expect(tensors.get('base_model.model.model.layers.1.mlp.down_proj.lora_B.weight')!.shape).toEqual([
      10, 2,
    ]);
    expect(JSON.parse(await folder.readText('adapter_config.json'))).toMatchObject({
      base_model_name_or_path: 'models/tiny',
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      r: 2,
      lora_alpha: 3,
      target_modules: ['v_proj', 'down_proj'],
    });
    await saveAdapter(adapter, folder, 'org/tiny@v2');
    expect(JSON.parse(await folder.readText('adapter_config.json'))).toMatchObject({
      base_model_name_or_path: 'org/tiny',
      revision: 'v2',
    });
    const loaded = await loadAdapter(policy.engine, policy.config, folder);
    expect(await loaded.read()).toEqual(await adapter.read());
    expect(loaded.config).toEqual(adapter.config);
  });

  it('are read as PEFT writes them, with a regular expression for the layers', async () => {
    const policy = await loadTiny();
    const target_modules = '.*self_attn\\.(q|k)_proj';
    const adapter = addAdapter(policy, { ...everything, target_modules }, 3);
    const folder = new MemoryFolder();
    await saveAdapter(adapter, folder, 'tiny');
    const config = JSON.parse(await folder.readText('adapter_config.json'));
    expect(config.target_modules).toBe(target_modules);
    // The rest of what PEFT 0.21 writes.
    const others = {
      ...{ alora_invocation_tokens: null, alpha_pattern: {}, arrow_config: null, auto_mapping: null },
      ...{ corda_config: null, ensure_weight_tying: false, eva_config: null, exclude_modules: null },
      ...{
        init_lora_weights: true,
        layer_replication: null,
        layers_pattern: null,
        layers_to_transform: null,
      },
      ...{ loftq_config: {}, lora_bias: false, lora_ga_config: null, megatron_config: null },
      ...{ megatron_core: 'megatron.core', peft_version: '0.21.2', qalora_group_size: 16, rank_pattern: {} },
      ...{ revision: null, target_parameters: null, trainable_token_indices: null, use_bdlora: null },
      ...{ kasa_config: null, monteclora_config: null, velora_config: null, use_qalora: false },
    };
    await folder.write('adapter_config.json', JSON.stringify({ ...others, ...config }));
    expect(await (await loadAdapter(policy.engine, policy.config, folder)).read()).toEqual(
      await adapter.read(),
    );
  });

  it.each([
    ['another method', { peft_type: 'IA3' }, /expected peft_type "LORA", got "IA3"/],
    ['DoRA', { use_dora: true }, /use_dora true is not supported/],
    ['dropout of everything', { lora_dropout: 1 }, /lora_dropout from 0 to below 1, got 1/],
    ['bias', { bias: 'all' }, /bias "all" is not supported; expected "none"/],
    ['ranks by layer', { rank_pattern: { q_proj: 4 } }, /rank_pattern .* is not supported/],
    ['factors by layer', { alpha_pattern: { q_proj: 4 } }, /alpha_pattern .* is not supported/],
    ['whole modules', { modules_to_save: ['lm_head'] }, /modules_to_save .* is not supported/],
    [
      'a start from other weights',
      { init_lora_weights: 'pissa' },
      /init_lora_weights "pissa" is not supported/,
    ],
    [
      'settings it does not know',
      { alora_invocation_tokens: [3] },
      /alora_invocation_tokens \[3\] is not supp/,
    ],
    ['other layers', { target_modules: ['query'] }, /target_modules query match no linear layer/],
    ['no rank', { r: 0 }, /expected r as a positive integer, got 0/],
    ['another rank than the file', { r: 4 }, /lora_A.weight with shape \[4,10\], got \[2,10\]/],
    ['fewer layers than the file', { target_modules: ['q_proj'] }, /k_proj.lora_A.weight has no place/],
  ])('refuse %s', async (_, change, message) => {
    const policy = await loadTiny();
    const folder = new MemoryFolder();
    const modules = ['q_proj', 'k_proj'];
    await saveAdapter(addAdapter(policy, { ...everything, target_modules: modules }, 3), folder, 'tiny');
    const config = JSON.parse(await folder.readText('adapter_config.json'));
    await folder.write('adapter_config.json', JSON.stringify({ ...config, ...change }));
    await expect(loadAdapter(policy.engine, policy.config, folder)).rejects.toThrow(message);
  });
});

describe('the gradient of the whole model', () => {
  it.each([
    ['all linear layers', 'sigmoid', ['all-linear']],
    ['all linear layers', 'ipo', ['all-linear']],
    ['all linear layers', 'hinge', ['all-linear']],
    ['the upper block only', 'sigmoid', ['layers.1.self_attn.k_proj', 'layers.1.mlp.gate_proj']],
  ] as const)('agrees with finite differences for %s, loss %s', async (_, loss_type, target_modules) => {
    const engine = new ReferenceEngine();
    const policy = await loadTiny(engine);
    const adapter = addAdapter(policy, { ...everything, target_modules }, 3);
    const start = engine.values(adapter.parameters).map((value, i) => value + 0.3 * Math.sin(i));
    const pairs = [
      { promptIds: [1, 3, 4], chosenIds: [6, 8, 3, 10], rejectedIds: [7, 2] },
      { promptIds: [1, 5], chosenIds: [9, 2], rejectedIds: [12, 13, 14, 15, 2], label: 0.7 },
    ];
    const config = { beta: 0.4, loss_type, label_smoothing: 0 } as const;
    const reference = { chosen: new Float32Array([-9, -6]), rejected: new Float32Array([-5, -13]) };
    const results = engine.tensor([192]);
    const losses = engine.view(results, 0, [2]);
    const out: Window = (offset, shape) => engine.view(results, offset, shape);
    const loss = (values: Float64Array) => {
      engine.assign(adapter.parameters, values);
      engine.zero(adapter.gradients);
      dpoGradients(policy, pairs, reference, config, 1, out, { adapter });
      return engine.values(losses).reduce((sum, value) => sum + value, 0);
    };
    loss(start);
    const gradient = engine.values(adapter.gradients);
    const step = 1e-5;
    for (const { key, shape, offset } of adapter.entries()) {
      for (let i = offset; i < offset + shape[0] * shape[1]; i += 3) {
        const at = (delta: number) => loss(start.map((value, j) => (j === i ? value + delta : value)));
        const numeric = (at(step) - at(-step)) / (2 * step);
        expect(Math.abs(gradient[i] - numeric), key).toBeLessThan(1e-8 + 1e-6 * Math.abs(numeric));
      }
    }
  });
});

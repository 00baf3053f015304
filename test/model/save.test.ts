/** Whole models written and read again. */
import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { openEngine } from '../../src/host/device.ts';
import { sequenceLogps } from '../../src/model/logps.ts';
import { addAdapter, loadPolicy, type Policy } from '../../src/model/policy.ts';
import { savedFiles, saveModel } from '../../src/model/save.ts';
import { MemoryFolder } from '../support/memory_folder.ts';
import { tinyFolder } from './tiny.ts';

const completions = [{ promptIds: [1, 3], completionIds: [4, 6, 8, 2] }];
const lora = { r: 2, lora_alpha: 3, target_modules: ['all-linear'] };

async function logpsOf(policy: Policy): Promise<number> {
  return (await sequenceLogps(policy, completions))[0];
}

describe('saveModel', () => {
  it('writes a folder that gives the same model, in files of bounded size', async () => {
    const engine = await openEngine('cpu');
    const base = await tinyFolder({ torch_dtype: 'bfloat16', tie_word_embeddings: false });
    const policy = await loadPolicy(engine, base);
    const before = await logpsOf(policy);
    for (const [shardBytes, files] of [
      [2 ** 20, 1],
      [2000, 7],
    ] as const) {
      const out = new MemoryFolder();
      await saveModel(policy, base, out, { shardBytes });
      const weights = [...out.files.keys()].filter((file) => file.endsWith('.safetensors'));
      expect(weights).toHaveLength(files);
      expect(savedFiles(policy.config, shardBytes).sort()).toEqual([...out.files.keys()].sort());
      // transformers reads the weights as what it is told here.
      expect(JSON.parse(await out.readText('config.json'))).toMatchObject({ torch_dtype: 'float32' });
      expect(await logpsOf(await loadPolicy(engine, out))).toBe(before);
    }
    engine.destroy();
  });

  it('adds an adapter to the weights', async () => {
    const engine = await openEngine('cpu');
    const base = await tinyFolder();
    const policy = await loadPolicy(engine, base);
    const plain = await logpsOf(policy);
    const adapter = addAdapter(policy, lora, 1);
    engine.write(adapter.parameters, new Float32Array(adapter.size).fill(0.1));
    const adapted = await logpsOf(policy);
    expect(Math.abs(adapted - plain)).toBeGreaterThan(0.01);
    const out = new MemoryFolder();
    await saveModel(policy, base, out);
    expect(await logpsOf(await loadPolicy(engine, out))).toBeCloseTo(adapted, 4);
    engine.destroy();
  });

  it('refuses weights that are not held as they would be saved', async () => {
    const engine = await openEngine('cpu');
    const base = await tinyFolder();
    const policy = await loadPolicy(engine, base, { dtype: 'bfloat16' });
    const saving = saveModel(policy, base, new MemoryFolder());
    await expect(saving).rejects.toThrow(UserError);
    await expect(saving).rejects.toThrow(/expected weights held as f32 for saving them, got bf16 for/);
    engine.destroy();
  });

  it('of weights drawn from a seed, gives others for another seed', async () => {
    const engine = await openEngine('cpu');
    const base = await tinyFolder({ initializer_range: 0.5 });
    const logps = [];
    for (const initialSeed of [1, 1, 2])
      logps.push(await logpsOf(await loadPolicy(engine, base, { initialSeed })));
    expect(logps[0]).toBe(logps[1]);
    expect(logps[0]).not.toBe(logps[2]);
    const strange = await tinyFolder({ initializer_range: 'wide' });
    await expect(loadPolicy(engine, strange, { initialSeed: 1 })).rejects.toThrow(
      'initializer_range above 0',
    );
    engine.destroy();
  });
});

import { describe, expect, it } from 'vitest';
import { writeSafetensors } from '../../src/data/safetensors.ts';
import { loadPolicy } from '../../src/model/policy.ts';
import { MemoryFolder } from '../support/memory_folder.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';
import { type Tensors, tinyFolder, tinyWeights } from './tiny.ts';

const INDEX = 'model.safetensors.index.json';
const shardName = (shard: number) => `model-0000${shard + 1}-of-00003.safetensors`;

/** Counts how much of its files is read at once. */
class CountingFolder extends MemoryFolder {
  largest = 0;
  whole: string[] = [];

  override async read(path: string): Promise<Uint8Array> {
    this.whole.push(path);
    return super.read(path);
  }

  override async size(path: string): Promise<number> {
    return this.files.get(path)!.length;
  }

  override async readRange(path: string, begin: number, end: number): Promise<Uint8Array> {
    this.largest = Math.max(this.largest, end - begin);
    return this.files.get(path)!.slice(begin, end);
  }
}

/** The tiny model's weights in three shards, as save_pretrained cuts them. */
async function shardedFolder(): Promise<CountingFolder> {
  const folder = new CountingFolder();
  const weights = tinyWeights();
  const keys = [...weights.keys()];
  const fileOf = Object.fromEntries(
    keys.map((key, i) => [key, shardName(Math.floor((3 * i) / keys.length))]),
  );
  for (const [path, bytes] of (await tinyFolder()).files) await folder.write(path, bytes);
  await folder.remove('model.safetensors');
  for (const file of new Set(Object.values(fileOf))) {
    const part: Tensors = new Map([...weights].filter(([key]) => fileOf[key] === file));
    await folder.write(file, writeSafetensors(part));
  }
  await folder.write(INDEX, JSON.stringify({ metadata: { total_size: 1 }, weight_map: fileOf }));
  return folder;
}

async function changeIndex(folder: MemoryFolder, change: (map: Record<string, string>) => void) {
  const index = JSON.parse(await folder.readText(INDEX));
  change(index.weight_map);
  await folder.write(INDEX, JSON.stringify(index));
}

const load = (folder: MemoryFolder) => loadPolicy(new ReferenceEngine(), folder);

describe('sharded weights', () => {
  it('are the same as in one file, and are read a tensor at a time', async () => {
    const engine = new ReferenceEngine();
    const folder = await shardedFolder();
    const policy = await loadPolicy(engine, folder);
    const weights = tinyWeights();
    expect(engine.values(policy.weights.head)).toEqual(
      Float64Array.from(weights.get('lm_head.weight')!.data),
    );
    expect(engine.values(policy.weights.blocks[1].linears.down_proj)).toEqual(
      Float64Array.from(weights.get('model.layers.1.mlp.down_proj.weight')!.data),
    );
    expect(folder.whole.filter((path) => path.endsWith('.safetensors'))).toEqual([]);
    const header = Math.max(...[...folder.files.values()].map((bytes) => bytes[0] + 256 * bytes[1]));
    expect(folder.largest).toBeLessThanOrEqual(header);
  });

  it('name the shard that is missing, cut short or of another model', async () => {
    const missing = await shardedFolder();
    await missing.remove(shardName(1));
    await expect(load(missing)).rejects.toThrow(/^memory\/model-00002-of-00003.safetensors: no such file/);
    const short = await shardedFolder();
    await short.write(shardName(2), short.files.get(shardName(2))!.subarray(0, -4));
    await expect(load(short)).rejects.toThrow(
      /^memory\/model-00003-of-00003.safetensors: not a valid safeten/,
    );
    const other = await shardedFolder();
    await changeIndex(other, (map) => {
      map['lm_head.weight'] = shardName(0);
    });
    await expect(load(other)).rejects.toThrow(/holds lm_head.weight, which .* places in model-00001/);
    const absent = await shardedFolder();
    await changeIndex(absent, (map) => {
      map['model.extra.weight'] = shardName(0);
    });
    await expect(load(absent)).rejects.toThrow(/00001-of-00003.safetensors: model.extra.weight is missing/);
  });

  it('refuse an index that names no shards or leads out of the folder', async () => {
    const folder = await shardedFolder();
    await folder.write(INDEX, '{}');
    await expect(load(folder)).rejects.toThrow(/expected weight_map as an object/);
    await folder.write(INDEX, JSON.stringify({ weight_map: { 'lm_head.weight': '../other.safetensors' } }));
    await expect(load(folder)).rejects.toThrow(/expected the file of lm_head.weight as a name/);
  });
});

/** Folders as the hub has them, of a published shape with random weights in bfloat16 shards. */
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { quantize } from '../src/engine/quantize.ts';
import { parseLlamaConfig } from '../src/model/config.ts';
import { weightShapes } from '../src/model/weights.ts';
import { ONE_WORD, randomWeights, shapeJson } from './random_policy.ts';

const SHARD_BYTES = 1e9;

/** Writes the folder, a tensor at a time; its tokenizer knows one word. */
export async function writeRandomFolder(path: string, shape: string, layers?: number): Promise<void> {
  await mkdir(path, { recursive: true });
  const json = { ...shapeJson(shape, layers), torch_dtype: 'bfloat16' };
  await writeFile(join(path, 'config.json'), JSON.stringify(json));
  await writeFile(join(path, 'tokenizer.json'), JSON.stringify(ONE_WORD));
  const shards: [string, number[]][][] = [];
  let room = 0;
  for (const entry of weightShapes(parseLlamaConfig(json, shape))) {
    const bytes = 2 * sizeOf(entry[1]);
    if (shards.length === 0 || bytes > room) {
      shards.push([]);
      room = SHARD_BYTES;
    }
    shards.at(-1)!.push(entry);
    room -= bytes;
  }
  const map: Record<string, string> = {};
  const digits = (count: number) => String(count).padStart(5, '0');
  for (const [index, tensors] of shards.entries()) {
    const several = `model-${digits(index + 1)}-of-${digits(shards.length)}.safetensors`;
    const file = shards.length === 1 ? 'model.safetensors' : several;
    for (const [key] of tensors) map[key] = file;
    await writeShard(join(path, file), tensors);
  }
  if (shards.length > 1) {
    await writeFile(
      join(path, 'model.safetensors.index.json'),
      JSON.stringify({ metadata: {}, weight_map: map }),
    );
  }
}

async function writeShard(path: string, tensors: readonly [string, number[]][]): Promise<void> {
  const header: Record<string, unknown> = {};
  let at = 0;
  for (const [key, shape] of tensors) {
    const end = at + 2 * sizeOf(shape);
    header[key] = { dtype: 'BF16', shape, data_offsets: [at, end] };
    at = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const handle = await open(path, 'w');
  const length = new DataView(new ArrayBuffer(8));
  length.setBigUint64(0, BigInt(json.length), true);
  await handle.writeFile(new Uint8Array(length.buffer));
  await handle.writeFile(json);
  for (const [key, shape] of tensors) {
    const values = randomWeights(sizeOf(shape));
    if (key.endsWith('norm.weight')) values.fill(1);
    await handle.writeFile(quantize(values, 'bf16'));
  }
  await handle.close();
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

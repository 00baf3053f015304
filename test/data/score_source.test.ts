import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, expect, test } from 'vitest';
import type { ByteRanges } from '../../src/data/byte_ranges.ts';
import { StreamReader } from '../../src/data/byte_ranges.ts';
import { type TensorData, writeSafetensors } from '../../src/data/safetensors.ts';
import { ScatteredRows } from '../../src/data/score_rows.ts';
import { scoreSource } from '../../src/data/score_source.ts';
import { readScores } from '../../src/data/scores.ts';
import { joined } from '../../src/dual/chunks.ts';
import type { ScoreTable } from '../../src/dual/problem.ts';
import { fileRanges, urlRanges } from '../../src/host/byte_ranges.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-sources-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function rangesOf(bytes: Uint8Array): ByteRanges {
  async function* from(begin: number) {
    // Pieces of odd sizes, so that numbers are cut.
    for (let at = begin; at < bytes.length; at += 100_003) yield bytes.subarray(at, at + 100_003);
  }
  return { size: bytes.length, open: (begin) => new StreamReader(from(begin)) };
}

async function chunksOf(ranges: ByteRanges, name = 'scores'): Promise<ScoreTable[]> {
  const source = await scoreSource(ranges, name);
  if (!source) throw new Error('expected a source');
  const chunks: ScoreTable[] = [];
  for await (const chunk of source()) {
    // Arrays are good until the next chunk is asked for.
    const { reward, safety, weights, ...rest } = chunk;
    chunks.push({
      ...rest,
      reward: reward.slice(),
      safety: safety.slice(),
      ...(weights ? { weights: weights.slice() } : {}),
    });
  }
  return chunks;
}

/** By bytes: vitest takes seconds to compare a million numbers. */
function expectEqual(actual: ScoreTable, expected: ScoreTable): void {
  expect(Object.keys(actual).sort()).toEqual(Object.keys(expected).sort());
  expect(actual.prompts).toBe(expected.prompts);
  for (const name of ['reward', 'safety', 'weights', 'responses'] as const) {
    const [a, b] = [actual[name], expected[name]];
    if (typeof a === 'number' || a === undefined) expect(a).toBe(b);
    else {
      expect(a.constructor).toBe(b?.constructor);
      const bytes = (values: typeof a) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
      expect(bytes(a).equals(bytes(b as typeof a)), name).toBe(true);
    }
  }
}

/** Expects the chunks, joined, to be what reading the whole gives; their number. */
async function expectSame(bytes: Uint8Array, name: string): Promise<number> {
  const whole = await readScores([bytes], name);
  const chunks = await chunksOf(rangesOf(bytes));
  expectEqual(joined(chunks), whole);
  return chunks.length;
}

const tensorsOf = (tensors: Readonly<Record<string, TensorData>>) =>
  writeSafetensors(Object.entries(tensors));

const N = 5000;
const K = 128;
const value = (i: number) => ((i * 7919) % 10_007) / 1000 - 5;
const floats = (count: number, from = 0) => Float32Array.from({ length: count }, (_, i) => value(i + from));

test('safetensors, in several chunks, with two safety scores and weights', async () => {
  const bytes = tensorsOf({
    extra: { shape: [3], data: floats(3) },
    safety: { shape: [2, N, K], data: floats(2 * N * K, 5) },
    reward: { shape: [N, K], data: floats(N * K) },
    weights: { shape: [N, K], data: Float64Array.from({ length: N * K }, (_, i) => 1 + (i % 3)) },
  });
  expect(await expectSame(bytes, 'safetensors')).toBeGreaterThan(1);
});

test('ragged arrays, padded and flat', async () => {
  const responses = Int32Array.from({ length: N }, (_, n) => 1 + ((n * 5) % K));
  const total = responses.reduce((sum, count) => sum + count, 0);
  const padded = {
    reward: { shape: [N, K], data: floats(N * K) },
    safety: { shape: [2, N, K], data: floats(2 * N * K, 5) },
    responses: { shape: [N], data: responses },
  };
  expect(await expectSame(tensorsOf(padded), 'padded')).toBeGreaterThan(1);
  const flat = {
    reward: { shape: [total], data: floats(total) },
    safety: { shape: [2, total], data: floats(2 * total, 5) },
    responses: { shape: [N], data: responses },
  };
  expect(await expectSame(tensorsOf(flat), 'flat')).toBeGreaterThan(1);
});

function npy(shape: readonly number[], values: Float32Array, fortran = false): Uint8Array {
  const text = `{'descr': '<f4', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${shape.join(', ')},), }`;
  const header = text.padEnd(117, ' ').concat('\n');
  const start = Uint8Array.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
  return Buffer.concat([start, Buffer.from(header), new Uint8Array(values.buffer)]);
}

/** An archive as numpy.savez writes it, as far as readers from the front look at it. */
function zip(files: Readonly<Record<string, Uint8Array>>, deflated: boolean): Uint8Array {
  const parts = Object.entries(files).flatMap(([name, bytes]) => {
    const content = deflated ? deflateRawSync(bytes) : bytes;
    const header = Buffer.alloc(30);
    header.writeUInt32LE(0x04034b50, 0);
    header.writeUInt16LE(deflated ? 8 : 0, 8);
    header.writeUInt32LE(content.length, 18);
    header.writeUInt32LE(bytes.length, 22);
    header.writeUInt16LE(name.length, 26);
    return [header, Buffer.from(name), content];
  });
  return Buffer.concat([...parts, Buffer.from([0x50, 0x4b, 1, 2])]);
}

test.each(['stored', 'deflated'] as const)('.npz, %s', async (how) => {
  const files = {
    'reward.npy': npy([N, K], floats(N * K)),
    'safety.npy': npy([2, N, K], floats(2 * N * K, 5)),
  };
  expect(await expectSame(zip(files, how === 'deflated'), how)).toBeGreaterThan(1);
});

test('an array whose first index runs fastest is no source', async () => {
  const files = { 'reward.npy': npy([4, 2], floats(8), true), 'safety.npy': npy([4, 2], floats(8)) };
  expect(await scoreSource(rangesOf(zip(files, false)), 'fortran')).toBeUndefined();
});

const rowsOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    prompt: `prompt ${Math.floor(i / 7)}`,
    reward: value(i),
    safety: [value(i + 3), value(i + 4)],
  }));
const jsonl = (rows: readonly unknown[]) =>
  new TextEncoder().encode(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

test('rows of JSON Lines, in several chunks', async () => {
  expect(await expectSame(jsonl(rowsOf(150_000)), 'rows')).toBeGreaterThan(1);
});

test('rows of parquet, in several chunks', async () => {
  const rows = rowsOf(150_000);
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: 'prompt', data: rows.map(({ prompt }) => prompt) },
      { name: 'reward', data: rows.map(({ reward }) => reward), type: 'DOUBLE' },
      { name: 'safety', data: rows.map(({ safety }) => safety[0]), type: 'DOUBLE' },
    ],
    rowGroupSize: 50_000,
  });
  expect(await expectSame(new Uint8Array(buffer), 'parquet')).toBeGreaterThan(1);
});

test('rows of a prompt that come again after many others are told of', async () => {
  const rows = rowsOf(100_000);
  await expect(chunksOf(rangesOf(jsonl([...rows, rows[0]])))).rejects.toThrow(ScatteredRows);
  // Near each other they are one prompt's responses, as they are to a reader of the whole.
  const near = rows.toSpliced(20, 0, rows[0]);
  await expectSame(jsonl(near), 'near');
});

test('a wrong row and a file cut short are named', async () => {
  const bad = [...rowsOf(100_000), { prompt: 'x', reward: 'y', safety: [1, 2] }];
  await expect(chunksOf(rangesOf(jsonl(bad)))).rejects.toThrow(
    'row 100001: expected a finite number "reward"',
  );
  const bytes = tensorsOf({
    reward: { shape: [N, K], data: floats(N * K) },
    safety: { shape: [N, K], data: floats(N * K) },
  });
  const path = join(folder, 'short.safetensors');
  writeFileSync(path, bytes);
  const whole = await fileRanges(path);
  const source = await scoreSource(whole, 'short');
  writeFileSync(path, bytes.subarray(0, bytes.length - 1000));
  await expect(
    (async () => {
      for await (const _ of source!());
    })(),
  ).rejects.toThrow('short: the file is cut short, at least 1000 bytes are missing');
});

test.each([true, false])('a URL, from a server that knows ranges: %s', async (knowsRanges) => {
  const bytes = Buffer.from(
    tensorsOf({
      reward: { shape: [N, K], data: floats(N * K) },
      safety: { shape: [2, N, K], data: floats(2 * N * K, 9) },
    }),
  );
  const server = createServer((request, response) => {
    const begin = knowsRanges ? Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0;
    response.writeHead(begin > 0 ? 206 : 200);
    response.end(bytes.subarray(begin));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/scores.safetensors`;
  try {
    expectEqual(joined(await chunksOf(urlRanges(url, bytes.length))), await readScores([bytes], 'whole'));
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

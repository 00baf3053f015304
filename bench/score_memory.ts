/**
 * Peak memory of reading large score files, each in a process of its own: `node bench/score_memory.ts`. Beside the file's
 * size stand the table it gives and the most that the process ever held, less what it held before it read.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parquetWriteFile } from 'hyparquet-writer';
import { readParquetScores } from '../src/data/parquet_scores.ts';
import { readScores } from '../src/data/scores.ts';

const ROWS = 600_000;
const ARRAY_PROMPTS = 400_000;
const K = 128;
const MEBIBYTE = 2 ** 20;

const response = (i: number) => `${i} `.repeat(500 / (String(i).length + 1));

async function writeRows(path: string): Promise<void> {
  const file = createWriteStream(path);
  for (let i = 0; i < ROWS; i++) {
    const row = { prompt: `prompt ${i >> 4}`, response: response(i), reward: i / ROWS, safety: [-i / ROWS] };
    if (!file.write(`${JSON.stringify(row)}\n`)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'close');
}

async function writeArrays(path: string): Promise<void> {
  const bytes = 4 * ARRAY_PROMPTS * K;
  const header = JSON.stringify({
    reward: { dtype: 'F32', shape: [ARRAY_PROMPTS, K], data_offsets: [0, bytes] },
    safety: { dtype: 'F32', shape: [1, ARRAY_PROMPTS, K], data_offsets: [bytes, 2 * bytes] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = createWriteStream(path);
  file.write(Buffer.concat([length, Buffer.from(header)]));
  const row = Buffer.from(Float32Array.from({ length: K }, (_, k) => k / K).buffer);
  for (let n = 0; n < 2 * ARRAY_PROMPTS; n++) if (!file.write(row)) await once(file, 'drain');
  file.end();
  await once(file, 'close');
}

function writeParquet(path: string): void {
  const column = <T>(value: (i: number) => T) => Array.from({ length: ROWS }, (_, i) => value(i));
  parquetWriteFile({
    filename: path,
    columnData: [
      { name: 'prompt', data: column((i) => `prompt ${i >> 4}`) },
      { name: 'response', data: column(response) },
      { name: 'reward', data: column((i) => i / ROWS), type: 'DOUBLE' },
      { name: 'safety', data: column((i) => -i / ROWS), type: 'DOUBLE' },
    ],
    codec: 'UNCOMPRESSED',
    rowGroupSize: 100_000,
  });
}

async function read(path: string): Promise<void> {
  const before = process.resourceUsage().maxRSS / 1024;
  let table: Awaited<ReturnType<typeof readScores>>;
  if (path.endsWith('.parquet')) {
    const handle = await open(path);
    const { size } = await handle.stat();
    const slice = async (from: number, to = size) => {
      const bytes = new Uint8Array(to - from);
      await handle.read(bytes, 0, bytes.length, from);
      return bytes.buffer;
    };
    table = await readParquetScores({ byteLength: size, slice }, path);
    await handle.close();
  } else table = await readScores(createReadStream(path), path);
  const bytes = table.reward.byteLength + table.safety.byteLength;
  const peak = process.resourceUsage().maxRSS / 1024 - before;
  console.log(`${(bytes / MEBIBYTE).toFixed(0)}\t${peak.toFixed(0)}`);
}

if (process.argv[2]) await read(process.argv[2]);
else {
  const folder = mkdtempSync(join(tmpdir(), 'score-memory-'));
  try {
    console.log('file\tMiB\ttable MiB\tpeak MiB over start');
    for (const [name, write] of [
      ['scores.jsonl', writeRows],
      ['scores.safetensors', writeArrays],
      ['scores.parquet', writeParquet],
    ] as const) {
      const path = join(folder, name);
      await write(path);
      const { stdout, stderr, status } = spawnSync(process.execPath, [process.argv[1], path], {
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(stderr);
      console.log(`${name}\t${(statSync(path).size / MEBIBYTE).toFixed(0)}\t${stdout.trim()}`);
      rmSync(path);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

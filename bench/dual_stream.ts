/**
 * The dual of a table that is streamed in single precision, with the memory it takes, from chunks in memory and from a
 * file, on one thread and on several; each in a process of its own.
 *
 *     node bench/dual_stream.ts [N] [K] [threads]
 *
 * N is 1000000, K 128 and threads 2 if left out. The chunks are the same 8192 prompts (test/support/score_generator.ts)
 * again and again, so that making them costs nothing; the file holds the same and has just been written, so that the
 * system still has it in memory where it has the room.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scoreSource } from '../src/data/score_source.ts';
import { type ScoreSource, solveStreamWith } from '../src/dual/index.ts';
import { fileRanges } from '../src/host/byte_ranges.ts';
import { threadedKernels } from '../src/host/dual_threads.ts';
import { generateScores } from '../test/support/score_generator.ts';

const CHUNK = 8192;

interface Case {
  readonly N: number;
  readonly K: number;
  readonly beta: number;
  readonly threads: number;
  readonly path?: string;
}

function chunkOf(K: number) {
  const { reward, safety } = generateScores(1, CHUNK, K, 1);
  return { reward: Float32Array.from(reward), safety: Float32Array.from(safety) };
}

function inMemory(N: number, K: number): ScoreSource {
  const { reward, safety } = chunkOf(K);
  return function* () {
    for (let row = 0; row < N; row += CHUNK) {
      const prompts = Math.min(CHUNK, N - row);
      const size = prompts * K;
      yield { prompts, responses: K, reward: reward.subarray(0, size), safety: safety.subarray(0, size) };
    }
  };
}

async function writeFile(path: string, N: number, K: number): Promise<void> {
  const { reward, safety } = chunkOf(K);
  const bytes = 4 * N * K;
  const header = JSON.stringify({
    reward: { dtype: 'F32', shape: [N, K], data_offsets: [0, bytes] },
    safety: { dtype: 'F32', shape: [1, N, K], data_offsets: [bytes, 2 * bytes] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = createWriteStream(path);
  file.write(Buffer.concat([length, Buffer.from(header)]));
  for (const values of [reward, safety]) {
    for (let row = 0; row < N; row += CHUNK) {
      const part = new Uint8Array(values.buffer, 0, 4 * K * Math.min(CHUNK, N - row));
      if (!file.write(part)) await once(file, 'drain');
    }
  }
  file.end();
  await once(file, 'close');
}

async function measure({ N, K, beta, threads, path }: Case): Promise<void> {
  const whole = path === undefined ? inMemory(N, K) : await scoreSource(await fileRanges(path), path);
  if (!whole) throw new Error(`${path}: expected a source`);
  const source = whole;
  let passes = 0;
  const counted: ScoreSource = () => {
    passes++;
    return source();
  };
  const kernels = await threadedKernels(threads);
  const memories = [kernels.exports.memory];
  const watched = {
    ...kernels,
    fresh() {
      const fresh = kernels.fresh();
      memories.push(fresh.exports.memory);
      return fresh;
    },
  };
  const limits = [{ threshold: 0.5 }];
  await solveStreamWith(watched, inMemory(20_000, K), { beta, limits });
  passes = 0;
  memories.length = kernels.pool ? 1 : 0;
  const start = performance.now();
  const solution = await solveStreamWith(watched, counted, { beta, limits });
  const seconds = (performance.now() - start) / 1000;
  const wasm = memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0) / 2 ** 20;
  const resident = process.resourceUsage().maxRSS / 1024;
  const lambda = solution.status === 'infeasible' ? 'infeasible' : `λ = ${solution.lambda}`;
  console.log(
    `β = ${String(beta).padEnd(4)}  ${path === undefined ? 'memory' : 'file  '}  ${threads} thread${threads > 1 ? 's' : ' '}  ` +
      `${seconds.toFixed(2).padStart(6)} s  ${passes} passes  ${wasm.toFixed(0).padStart(4)} MiB of WebAssembly memory, ` +
      `${resident.toFixed(0).padStart(4)} MiB resident at most, ${lambda}`,
  );
  kernels.terminate();
}

if (process.argv[2] === 'measure') await measure(JSON.parse(process.argv[3]));
else {
  const [N, K, most] = ['1000000', '128', '2'].map((value, i) => Number(process.argv[2 + i] ?? value));
  const folder = mkdtempSync(join(tmpdir(), 'dual-stream-'));
  const path = join(folder, 'scores.safetensors');
  try {
    await writeFile(path, N, K);
    console.log(`N = ${N}, K = ${K}`);
    for (const beta of [0.1, 0.5, 0.01]) {
      for (const from of [{}, { path }]) {
        for (const threads of new Set([1, most])) {
          const args = [process.argv[1], 'measure', JSON.stringify({ N, K, beta, threads, ...from })];
          const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
          if (status !== 0) process.exitCode = 1;
        }
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

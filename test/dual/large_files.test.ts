import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { writeSafetensors } from '../../src/data/safetensors.ts';
import { type DualSolution, loadWasm, type ScoreTable, solveWith } from '../../src/dual/index.ts';
import { generateScores } from '../support/score_generator.ts';
import { ROOT } from '../support/shared.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-large-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function dual(...args: string[]): Promise<DualSolution> {
  const { stdout } = await promisify(execFile)(
    join(ROOT, 'node_modules/.bin/node'),
    [join(ROOT, 'align.ts'), 'dual', '--json', ...args],
    { maxBuffer: 1 << 24 },
  );
  return JSON.parse(stdout);
}

/** Streaming takes another way to the same solution than solving in memory: numbers agree to rounding. */
function expectClose(
  actual: DualSolution,
  table: ScoreTable,
  beta: number,
  threshold: number,
  kernels: Parameters<typeof solveWith>[0],
) {
  const expected = solveWith(kernels, { ...table, beta, thresholds: [threshold] });
  if (actual.status !== 'optimal' || expected.status !== 'optimal') throw new Error('expected optima');
  expect(actual.lambda[0]).toBeCloseTo(expected.lambda[0], 8);
  expect(actual.kl).toBeCloseTo(expected.kl, 8);
  expect(actual.expected.reward).toBeCloseTo(expected.expected.reward, 8);
  expect(actual.ess.p10).toBeCloseTo(expected.ess.p10, 7);
  expect([actual.prompts, actual.responses]).toEqual([expected.prompts, expected.responses]);
}

test('a large file of arrays is read in passes, with the bits of any number of threads', async () => {
  const kernels = await loadWasm();
  const [N, K] = [70_000, 128];
  const { reward, safety } = generateScores(1, 1000, K, 1);
  const repeated = (values: Float64Array) =>
    Float32Array.from({ length: N * K }, (_, i) => values[i % values.length]);
  const table = { reward: repeated(reward), safety: repeated(safety), prompts: N, responses: K };
  const path = join(folder, 'large.safetensors');
  writeFileSync(
    path,
    writeSafetensors([
      ['reward', { shape: [N, K], data: table.reward }],
      ['safety', { shape: [1, N, K], data: table.safety }],
    ]),
  );
  const args = ['--scores', path, '--beta', '0.1', '--threshold', '0.5'];
  const solution = await dual(...args);
  expectClose(solution, table, 0.1, 0.5, kernels);
  expect(await dual(...args, '--threads', '1')).toEqual(solution);
});

test('large JSON Lines are read in passes, and held where the rows of prompts are far apart', async () => {
  const kernels = await loadWasm();
  const [N, K] = [10_000, 8];
  const table = generateScores(2, N, K, 1);
  const response = 'x'.repeat(850);
  const write = async (path: string, place: (i: number) => number) => {
    const file = createWriteStream(path);
    for (let i = 0; i < N * K; i++) {
      const at = place(i);
      const row = {
        prompt: `p${Math.floor(at / K)}`,
        response,
        reward: table.reward[at],
        safety: table.safety[at],
      };
      if (!file.write(`${JSON.stringify(row)}\n`)) await once(file, 'drain');
    }
    file.end();
    await once(file, 'close');
  };
  const ordered = join(folder, 'ordered.jsonl');
  const scattered = join(folder, 'scattered.jsonl');
  await write(ordered, (i) => i);
  await write(scattered, (i) => (i % N) * K + Math.floor(i / N));
  for (const path of [ordered, scattered]) {
    const solution = await dual('--scores', path, '--beta', '1', '--threshold', '0.5');
    expectClose(solution, table, 1, 0.5, kernels);
  }
});

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { bootstrapWith, solveWith } from '../../src/dual/index.ts';
import { threadedKernels } from '../../src/host/dual_threads.ts';
import { generateScores } from '../support/score_generator.ts';
import { ROOT } from '../support/shared.ts';
import { threadedAnswers } from './threaded_answers.ts';

describe('the dual gives the same bits', async () => {
  const expected = await threadedAnswers(1, 5000);

  test.each([
    [1, 100],
    [2, 1024],
    [3, 777],
  ])('with %i threads and streams in chunks of %i prompts', async (threads, size) => {
    expect(await threadedAnswers(threads, size)).toEqual(expected);
  });

  test.each(['1', '3'])('in Deno, with %s threads', async (threads) => {
    const size = threads === '1' ? '5000' : '2049';
    const args = ['run', '-A', join(ROOT, 'test/dual/threaded_main.ts'), threads, size];
    const { stdout } = await promisify(execFile)(join(ROOT, 'node_modules/.bin/deno'), args, {
      timeout: 60_000,
    });
    expect(stdout.trim().split('\n')).toEqual(expected);
  });
});

test('threads share the work on a large table and leave a small one alone', async () => {
  const kernels = await threadedKernels(2);
  const jobs: string[] = [];
  const { pool } = kernels;
  if (!pool) throw new Error('expected threads');
  const watched = {
    ...kernels,
    pool: {
      size: pool.size,
      run(...job: Parameters<typeof pool.run>) {
        jobs.push(job[1]);
        pool.run(...job);
      },
    },
  };
  solveWith(watched, { ...generateScores(1, 500, 64, 1), beta: 0.1, thresholds: [0.5] });
  expect(jobs).toEqual([]);
  solveWith(watched, { ...generateScores(1, 5000, 64, 1), beta: 0.1, thresholds: [0.5] });
  expect(new Set(jobs)).toEqual(new Set(['loadShare', 'pruneShare']));
  solveWith(watched, { ...generateScores(1, 5000, 64, 1), beta: 4, thresholds: [0.5] });
  expect(new Set(jobs)).toEqual(new Set(['loadShare', 'pruneShare', 'evaluateShare']));
  kernels.terminate();
});

test('threads share the replicates of a bootstrap, of a small table too', async () => {
  const kernels = await threadedKernels(2);
  const { pool } = kernels;
  const jobs: string[] = [];
  const run: NonNullable<typeof pool>['run'] = (...job) => {
    jobs.push(job[1]);
    pool!.run(...job);
  };
  const watched = { ...kernels, pool: { size: 2, run } };
  const problem = { ...generateScores(7, 40, 6, 1), beta: 0.1, thresholds: [1.46] };
  const { infeasible } = bootstrapWith(watched, problem, { replicates: 2000 });
  expect(jobs).toEqual(['replicateShare']);
  expect(infeasible).toBeGreaterThan(10);
  kernels.terminate();
});

test('a bad score is named, whichever thread meets it', async () => {
  const kernels = await threadedKernels(3);
  const table = generateScores(1, 5000, 64, 1);
  for (const [prompt, response] of [
    [1, 1],
    [3017, 64],
    [5000, 2],
  ]) {
    const safety = table.safety.slice();
    safety[(prompt - 1) * 64 + response - 1] = Number.NaN;
    expect(() => solveWith(kernels, { ...table, safety, beta: 1, thresholds: [0] })).toThrow(
      `response ${response} to prompt ${prompt}`,
    );
  }
  const { status } = solveWith(kernels, { ...table, beta: 1, thresholds: [0] });
  expect(status).toBe('optimal');
  kernels.terminate();
});

import { describe, expect, test } from 'vitest';
import { joined } from '../../src/dual/chunks.ts';
import {
  type DualSolution,
  loadWasm,
  type ScoreTable,
  solveStream,
  solveStreamWith,
  solveWith,
  thresholdsOf,
} from '../../src/dual/index.ts';
import { generateScores } from '../support/score_generator.ts';

const kernels = await loadWasm();

/** Cuts a table with K responses a prompt into chunks of `sizes` prompts, over and over; counts its passes. */
function sourceOf(table: ScoreTable, sizes: readonly number[]) {
  const passes = { count: 0 };
  async function* read() {
    passes.count++;
    const K = table.responses as number;
    const total = table.reward.length;
    const m = table.safety.length / total;
    let last: ScoreTable | undefined;
    for (let row = 0, i = 0; row < table.prompts; i++) {
      // What a reader may do with arrays that it has given away.
      last?.reward.fill(Number.NaN);
      const prompts = Math.min(sizes[i % sizes.length], table.prompts - row);
      const [from, to] = [row * K, (row + prompts) * K];
      const reward = table.reward.slice(from, to);
      const size = m * (to - from);
      const safety = reward instanceof Float32Array ? new Float32Array(size) : new Float64Array(size);
      for (let j = 0; j < m; j++) {
        safety.set(table.safety.subarray(j * total + from, j * total + to), j * (to - from));
      }
      const weights = table.weights?.slice(from, to);
      last = { prompts, responses: K, reward, safety, ...(weights ? { weights } : {}) };
      yield last;
      row += prompts;
    }
  }
  return { source: read, passes };
}

function tableOf(seed: number, N: number, K: number, m: number): ScoreTable {
  return generateScores(seed, N, K, m);
}

function expectAlike(actual: unknown, expected: unknown, tolerance: number, path = ''): void {
  if (typeof expected === 'number' && typeof actual === 'number' && Number.isFinite(expected)) {
    expect(Math.abs(actual - expected), path).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(expected)),
    );
  } else if (typeof expected === 'object' && expected !== null) {
    for (const [key, value] of Object.entries(expected)) {
      expectAlike((actual as Record<string, unknown>)[key], value, tolerance, `${path}.${key}`);
    }
  } else expect(actual, path).toEqual(expected);
}

function values({ warnings: _, ...solution }: DualSolution): unknown {
  if (solution.status === 'infeasible') return solution;
  const { iterations: __, ...rest } = solution;
  return rest;
}

const SHARDINGS = [[100_000], [1], [255, 257], [1024], [1500, 3, 700], [4096]];

describe.each([
  { m: 1, K: 24, beta: 0.1, kind: 'double' },
  { m: 1, K: 31, beta: 0.05, kind: 'single' },
  { m: 2, K: 16, beta: 0.3, kind: 'single' },
  { m: 1, K: 16, beta: 0.4, kind: 'weighted' },
])('m = $m, K = $K, β = $beta, $kind', ({ m, K, beta, kind }) => {
  const N = 5000;
  const drawn = tableOf(3, N, K, m);
  const table: ScoreTable = {
    ...drawn,
    ...(kind === 'single'
      ? { reward: Float32Array.from(drawn.reward), safety: Float32Array.from(drawn.safety) }
      : {}),
    ...(kind === 'weighted' ? { weights: Float64Array.from(drawn.reward, (_, i) => (i * 7) % 5) } : {}),
  };
  const limits = Array.from({ length: m }, (_, j) => (j === 0 ? { margin: 1.2 } : { threshold: 0.3 }));

  test('agrees with the solution in memory, in one pass', async () => {
    const { source, passes } = sourceOf(table, [1000]);
    const streamed = await solveStreamWith(kernels, source, { beta, limits });
    expect(passes.count).toBe(1);
    const thresholds = await thresholdsOf(table, limits);
    const relative = limits.map((limit) => 'margin' in limit);
    const inMemory = solveWith(kernels, { ...table, beta, thresholds, relative });
    expect(streamed.status).toBe('optimal');
    expectAlike(values(streamed), values(inMemory), 1e-8);
  });

  test('gives the same bits for every sharding', async () => {
    const expected = await solveStream(sourceOf(table, [2000]).source, { beta, limits });
    for (const sizes of SHARDINGS) {
      expect(await solveStream(sourceOf(table, sizes).source, { beta, limits }), `${sizes}`).toEqual(
        expected,
      );
    }
  });
});

test('a small source gives the bits of the solution in memory', async () => {
  const table = tableOf(4, 300, 20, 1);
  const streamed = await solveStream(sourceOf(table, [7]).source, {
    beta: 0.2,
    limits: [{ threshold: 0.4 }],
  });
  expect(streamed).toEqual(solveWith(kernels, { ...table, beta: 0.2, thresholds: [0.4] }));
});

test('first prompts unlike the rest cost passes, not the answer', async () => {
  const table = tableOf(5, 4096, 12, 1);
  const safety = table.safety.map((value, i) => value * (i < 2048 * 12 ? 3 : 0.5));
  const skewed = { ...table, safety };
  const { source, passes } = sourceOf(skewed, [512]);
  const streamed = await solveStream(source, { beta: 0.3, limits: [{ threshold: 0.5 }] });
  expect(passes.count).toBeGreaterThan(1);
  expectAlike(
    values(streamed),
    values(solveWith(kernels, { ...skewed, beta: 0.3, thresholds: [0.5] })),
    1e-7,
  );
});

test('thresholds out of reach are proved', async () => {
  const one = tableOf(6, 3000, 8, 1);
  const beyond = await solveStream(sourceOf(one, [999]).source, { beta: 0.3, limits: [{ threshold: 9 }] });
  expect(beyond).toMatchObject({ status: 'infeasible', certificate: { direction: [1] } });
  // Two opposite scores cannot both be high.
  const total = one.reward.length;
  const safety = Float64Array.from({ length: 2 * total }, (_, i) =>
    i < total ? one.safety[i] : -one.safety[i - total],
  );
  const torn = await solveStream(sourceOf({ ...one, safety }, [999]).source, {
    beta: 0.3,
    limits: [{ threshold: 0 }, { threshold: 1 }],
  });
  expect(torn.status).toBe('infeasible');
  if (torn.status === 'infeasible') expect(torn.certificate.value).toBeLessThan(0);
});

describe('bad sources', () => {
  const good = tableOf(7, 3000, 4, 1);
  const solve = (chunks: ScoreTable[]) => solveStream(() => chunks, { beta: 1, limits: [{ threshold: 0 }] });
  test('none', async () => {
    await expect(solve([])).rejects.toThrow('empty source');
  });
  test('chunks unlike each other', async () => {
    await expect(solve([good, tableOf(7, 10, 4, 2)])).rejects.toThrow('expected 1 safety scores');
    const weights = new Float64Array(12_000).fill(1);
    await expect(solve([good, { ...good, weights }])).rejects.toThrow('weights');
  });
  test('a score that is none', async () => {
    const bad = { ...good, reward: good.reward.slice() };
    bad.reward[11_999] = Number.NaN;
    await expect(solve([bad])).rejects.toThrow('response 4 to prompt 3000');
  });
  test('limits that do not fit', async () => {
    await expect(solveStream(() => [good], { beta: 1, limits: [] })).rejects.toThrow('thresholds');
    await expect(solveStream(() => [good], { beta: Number.NaN, limits: [{ threshold: 0 }] })).rejects.toThrow(
      'beta',
    );
  });
});

test('tables are joined in order', () => {
  const [a, b] = [tableOf(1, 2, 3, 2), tableOf(2, 1, 3, 2)];
  const { reward, safety, prompts, responses } = joined([a, b]);
  expect([prompts, responses]).toEqual([3, 3]);
  expect([...reward]).toEqual([...a.reward, ...b.reward]);
  expect([...safety.subarray(0, 9)]).toEqual([...a.safety.subarray(0, 6), ...b.safety.subarray(0, 3)]);
});

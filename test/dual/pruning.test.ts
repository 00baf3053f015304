import { expect, test } from 'vitest';
import { COLUMN } from '../../src/dual/described.ts';
import { loadWasm, type ScoreTable } from '../../src/dual/index.ts';
import { Workspace } from '../../src/dual/workspace.ts';
import { keyOf, Random } from '../../src/random.ts';
import { generateScores } from '../support/score_generator.ts';

const kernels = await loadWasm();

interface LargeProblem extends ScoreTable {
  readonly reward: Float64Array;
  readonly safety: Float64Array;
  readonly beta: number;
  readonly thresholds: number[];
}

/** Large enough for a sampled start; every third one in an order that makes the sample misleading, every fourth ragged. */
function drawLarge(seed: number): LargeProblem {
  const random = new Random(keyOf(seed, 'large'));
  const m = 1 + random.below(3);
  const [N, K] = [
    [700, 30],
    [400, 64],
    [5000, 5],
    [150, 128],
  ][random.below(4)];
  const { reward, safety } = generateScores(seed, N, K, m);
  const beta = 10 ** (2 * random.uniform() - 2);
  const thresholds = Array.from({ length: m }, () => 1.5 * random.uniform() - 1);
  if (seed % 3 === 0) {
    // Prompts 0, 2, 4, … alone carry large rewards.
    for (let i = 0; i < N * K; i++) if (Math.floor(i / K) % 2 === 0) reward[i] *= 4;
  }
  const table = { reward, safety, prompts: N, responses: K, beta, thresholds };
  if (seed % 4 !== 0) return table;
  const responses = new Uint32Array(2 * N);
  for (let n = 0; n < N; n++) {
    responses[2 * n] = 1 + random.below(K - 1);
    responses[2 * n + 1] = K - responses[2 * n];
  }
  return { ...table, prompts: 2 * N, responses, thresholds: thresholds.map((x) => x - 1) };
}

test('the search through a sample and a pruned table ends where the plain search does', () => {
  let found = 0;
  for (let seed = 1; seed <= 36; seed++) {
    const { beta, thresholds, ...table } = drawLarge(seed);
    const at = kernels.exports.mark();
    const workspace = new Workspace(kernels, table);
    const plain = workspace.search(
      beta,
      thresholds,
      thresholds.map(() => 0),
    );
    const exact = workspace.evaluate(beta, thresholds, plain.lambda);
    const exactSizes = workspace.column(COLUMN.ess);
    const fast = workspace.search(beta, thresholds);
    expect(fast.status).toBe(plain.status);
    if (plain.status === 'converged') {
      found++;
      for (const [j, value] of plain.lambda.entries())
        expect(Math.abs(fast.lambda[j] - value)).toBeLessThan(1e-9);
      // On the pruned table, where there is one.
      const pruned = workspace.evaluate(beta, thresholds, plain.lambda);
      expect(Math.abs(pruned.value - exact.value)).toBeLessThan(1e-12);
      expect(Math.abs(pruned.kl - exact.kl)).toBeLessThan(1e-12);
      expect(Math.abs(pruned.reward - exact.reward)).toBeLessThan(1e-12);
      const sizes = workspace.column(COLUMN.ess);
      for (const [n, size] of exactSizes.entries()) expect(Math.abs(sizes[n] - size)).toBeLessThan(1e-9);
    }
    kernels.exports.release(at);
  }
  expect(found).toBeGreaterThan(25);
});

test('a pruned table loses nothing anywhere in its box', () => {
  const { exports } = kernels;
  const table = generateScores(5, 300, 64, 2);
  const at = exports.mark();
  const workspace = new Workspace(kernels, table);
  const { lambda } = workspace.search(0.05, [0.3, 0.1]);
  const random = new Random(keyOf(1, 'box'));
  const full = new Workspace(kernels, table);
  for (let i = 0; i < 50; i++) {
    const near = lambda.map((value) => value * (0.9 + 0.2 * random.uniform()));
    const [a, b] = [workspace, full].map((space) => space.evaluate(0.05, [0.3, 0.1], near));
    expect(Math.abs(a.value - b.value)).toBeLessThan(1e-13);
    for (const [j, slope] of b.gradient.entries())
      expect(Math.abs(a.gradient[j] - slope)).toBeLessThan(1e-12);
  }
  exports.release(at);
});

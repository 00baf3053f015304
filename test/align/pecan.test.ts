import { describe, expect, it } from 'vitest';
import { makePairs } from '../../src/align/pairs.ts';
import { solveDual, thresholdsOf } from '../../src/dual/index.ts';
import { keyOf, Random } from '../../src/random.ts';

const N = 40;
const K = 12;
const BETA_PRE = 0.3;
const BETA = 0.7;
const B = 0.05;

/** log π_r/π_ref and log π_g/π_ref of responses, [N][K]. */
function logRatios(purpose: string): number[][] {
  return Array.from({ length: N }, (_, n) => {
    const random = new Random(keyOf(3, purpose), n);
    return Array.from({ length: K }, () => 4 * random.uniform() - 2.5);
  });
}
const s_r = logRatios('reward');
const s_g = logRatios('safety').map((row, n) => row.map((x, k) => x - 0.5 * s_r[n][k]));

/** Huang et al., Algorithm 2, line by line: D'(λ) = mean_n E_p[h], h = β_pre·(s_g + KL) − b. */
function slope(lambda: number): number {
  const mean = (values: number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
  const KL = mean(s_g.flat().map((x) => -x));
  return mean(
    s_r.map((row, n) => {
      const h = s_g[n].map((x) => BETA_PRE * (x + KL) - B);
      const weight = row.map((x, k) => Math.exp((BETA_PRE * x + lambda * h[k]) / BETA));
      const total = weight.reduce((sum, x) => sum + x, 0);
      return weight.reduce((sum, x, k) => sum + x * h[k], 0) / total;
    }),
  );
}

function rootOf(increasing: (x: number) => number): number {
  let [low, high] = [0, 1];
  while (increasing(high) < 0) high *= 2;
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (increasing(middle) < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

describe('PeCAN', () => {
  it('is the dual of scores β_pre·s with the margin b, also where β differs from β_pre', async () => {
    const reward = Float64Array.from(s_r.flat(), (x) => BETA_PRE * x);
    const safety = Float64Array.from(s_g.flat(), (x) => BETA_PRE * x);
    const table = { reward, safety, prompts: N, responses: K };
    const thresholds = await thresholdsOf(table, [{ margin: B }]);
    const solution = await solveDual({ ...table, beta: BETA, thresholds });
    const expected = rootOf(slope);
    expect(expected).toBeGreaterThan(0.1);
    if (solution.status !== 'optimal') throw new Error(`expected an optimum, got ${solution.status}`);
    expect(Math.abs(solution.lambda[0] - expected)).toBeLessThan(1e-9);
  });

  it('labels by β_pre·(s_r + λ·s_g), or without the factor', () => {
    const rows = [0, 1].map((k) => ({
      prompt: 'p',
      response: String(k),
      reward: BETA_PRE * s_r[0][k],
      safety: [BETA_PRE * s_g[0][k]],
    }));
    const lambda = 0.4;
    const options = {
      weights: { reward: 1, safety: [lambda] },
      seed: 0,
      labels: 'soft',
      pairsPerPrompt: 1,
      exp: Math.exp,
    } as const;
    const gap = Math.abs(s_r[0][1] + lambda * s_g[0][1] - s_r[0][0] - lambda * s_g[0][0]);
    const [scaled] = makePairs([rows], options);
    const [unscaled] = makePairs([rows], { ...options, scale: 1 / BETA_PRE });
    expect(scaled.label).toBeCloseTo(1 / (1 + Math.exp(-BETA_PRE * gap)), 12);
    expect(unscaled.label).toBeCloseTo(1 / (1 + Math.exp(-gap)), 12);
  });
});

import { describe, expect, it } from 'vitest';
import { redualize } from '../../src/align/redualize.ts';
import type { ScoreRow } from '../../src/align/rows.ts';
import { keyOf, Random } from '../../src/random.ts';

const BETA = 0.7;

/** Scores of 20 prompts × 8 responses under two constraints. */
function samples(): ScoreRow[] {
  const random = new Random(keyOf(5, 'redualize'));
  const normal = () => Array.from({ length: 12 }, () => random.uniform()).reduce((sum, x) => sum + x, -6);
  return Array.from({ length: 160 }, (_, i) => ({
    prompt: `prompt ${Math.floor(i / 8)}`,
    response: `response ${i}`,
    reward: normal(),
    safety: [normal(), 0.5 * normal()],
  }));
}

const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;

/** Means with each prompt's responses weighted by exp(changeᵀg/β). */
function tilted(rows: readonly ScoreRow[], change: readonly number[]) {
  const prompts = [...new Set(rows.map(({ prompt }) => prompt))];
  const groups = prompts.map((prompt) => rows.filter((row) => row.prompt === prompt));
  const average = (value: (row: ScoreRow) => number) =>
    mean(
      groups.map((group) => {
        const odds = group.map(({ safety }) =>
          Math.exp(safety.reduce((sum, g, j) => sum + change[j] * g, 0) / BETA),
        );
        const total = odds.reduce((sum, x) => sum + x, 0);
        return group.reduce((sum, row, k) => sum + (odds[k] / total) * value(row), 0);
      }),
    );
  return {
    reward: average(({ reward }) => reward),
    safety: [0, 1].map((j) => average(({ safety }) => safety[j])),
  };
}

describe('λ from samples of the trained policy', () => {
  it('is where the tilted samples meet the thresholds that have a price', async () => {
    const rows = samples();
    const achieved = tilted(rows, [0, 0]);
    // The first has to rise; the second may fall, down to no price at all.
    const thresholds = [achieved.safety[0] + 0.3, achieved.safety[1] - 2];
    const previous = [0.4, 0.6];
    const found = await redualize(rows, previous, BETA, thresholds);
    const change = found.lambda.map((price, j) => price - previous[j]);
    const after = tilted(rows, change);
    expect(found.lambda[0]).toBeGreaterThan(previous[0]);
    expect(after.safety[0]).toBeCloseTo(thresholds[0], 8);
    expect(found.lambda[1]).toBe(0);
    expect(after.safety[1]).toBeGreaterThan(thresholds[1]);
    expect(found.aim).toEqual(thresholds);
    expect(found.achieved.reward).toBeCloseTo(achieved.reward, 10);
    expect(found.achieved.safety[1]).toBeCloseTo(achieved.safety[1], 10);
    expect(found.predicted.reward).toBeCloseTo(after.reward, 8);
    expect(found.predicted.safety[1]).toBeCloseTo(after.safety[1], 8);
  });

  it('stays where the thresholds are met exactly', async () => {
    const rows = samples();
    const { safety } = tilted(rows, [0, 0]);
    const { lambda } = await redualize(rows, [0.4, 0.6], BETA, safety);
    expect(lambda[0]).toBeCloseTo(0.4, 6);
    expect(lambda[1]).toBeCloseTo(0.6, 6);
  });

  it('goes a part of the way to what the samples do not reach, and none where they are all alike', async () => {
    const rows = samples();
    const { safety } = tilted(rows, [0, 0]);
    const far = [safety[0] + 2.5, safety[1]];
    const part = await redualize(rows, [0.4, 0.6], BETA, far);
    expect(part.aim[0]).toBeGreaterThan(safety[0]);
    expect(part.aim[0]).toBeLessThan(far[0]);
    expect(
      tilted(
        rows,
        part.lambda.map((price, j) => price - [0.4, 0.6][j]),
      ).safety[0],
    ).toBeCloseTo(part.aim[0], 6);
    const alike = rows.map((row) => ({ ...row, safety: [1, 1] }));
    const none = await redualize(alike, [0.4, 0.6], BETA, [1.5, 1]);
    expect(none.lambda).toEqual([0.4, 0.6]);
    expect(none.aim).toEqual([1, 1]);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Convergence, convergence, stability, thresholdsOf } from '../../src/dual/index.ts';
import { dualign } from '../cli/command.ts';
import { generateScores } from '../support/score_generator.ts';
import { plainDual } from './plain.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-theory-'));
afterAll(() => rmSync(folder, { recursive: true }));

const table = generateScores(3, 40, 12, 2);
const file = join(folder, 'scores.jsonl');
writeFileSync(
  file,
  Array.from(table.reward, (reward, i) =>
    JSON.stringify({
      prompt: `p${Math.floor(i / 12)}`,
      reward,
      safety: [table.safety[i], table.safety[480 + i]],
    }),
  ).join('\n'),
);
const asked = ['--scores', file, '--beta', '2', '--margin', '0.5', '--margin', '0.3'];
const problem = {
  ...table,
  beta: 2,
  thresholds: await thresholdsOf(table, [{ margin: 0.5 }, { margin: 0.3 }]),
  relative: [true, true],
};

describe('convergence', () => {
  test('traces each pass from the start asked for, by 1/L and the steps asked for', async () => {
    const args = [
      ...asked,
      '--step',
      '0.2',
      '--step',
      '0.4',
      '--start',
      '0.5',
      '--start',
      '0',
      '--passes',
      '30',
    ];
    const { code, stdout, stderr } = await dualign('node', ['convergence', ...args, '--json']);
    expect([code, stderr]).toEqual([0, '']);
    const found: Convergence = JSON.parse(stdout);
    const { curvature, gradient, newton, dual } = found;
    expect(gradient.map(({ step }) => step)).toEqual([1 / curvature.smoothness, 0.2, 0.4]);
    for (const { points } of [newton, ...gradient]) expect(points[0].lambda).toEqual([0.5, 0]);
    // The path by the definition of descent and of D.
    let lambda = [0.5, 0];
    for (const point of gradient[1].points) {
      const plain = plainDual(problem, lambda);
      for (const [j, value] of lambda.entries()) expect(point.lambda[j]).toBeCloseTo(value, 10);
      expect(point.gap).toBeCloseTo(plain.value - dual, 10);
      lambda = lambda.map((value, j) => Math.max(0, value - 0.2 * plain.gradient[j]));
    }
  });

  test('without --step, beside the paper’s: the table counts the passes that the traces have', async () => {
    const { stdout } = await dualign('node', ['convergence', ...asked]);
    const found = await convergence(problem, { steps: [1] });
    const [, descent] = found.gradient;
    const passes = [1e-2, 1e-4, 1e-6, 1e-8].map((tolerance) => {
      const index = descent.points.findIndex(({ projectedGradient }) => projectedGradient <= tolerance);
      return index < 0 ? '–' : String(index + 1);
    });
    const row = stdout.split('\n').find((line) => line.startsWith('step 1  '));
    expect(row?.split(/ {2,}/)).toEqual(['step 1', '1.0000', descent.rate.toFixed(4), ...passes]);
  });

  test.each([
    [['--step', '0'], 2, /expected steps above 0, got 0/],
    [['--start', '1'], 2, /lambda: expected one for each of the 2 safety scores, got 1/],
    [['--passes', '0'], 2, /expected 1 to 1000000 passes, got 0/],
    [['--tolerance', '-1'], 2, /tolerance above 0, got -1/],
  ])('%j: one line, exit code %i', async (extra, code, message) => {
    const outcome = await dualign('node', ['convergence', ...asked, ...extra]);
    expect(outcome).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(/^dualign: [^\n]*\n$/) });
    expect(outcome.stderr).toMatch(message);
  });

  test('thresholds out of reach: exit code 3', async () => {
    const args = ['convergence', '--scores', file, '--beta', '2', '--threshold', '99', '--threshold', '0'];
    expect(await dualign('node', args)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('infeasible'),
    });
  });
});

describe('dual --score-error', () => {
  const solve = (...extra: string[]) => dualign('node', ['dual', ...asked, ...extra]);
  const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value));

  test('one for all scores, or one each: the bound of the library', async () => {
    const all = await solve('--score-error', '0.01', '--json');
    expect(JSON.parse(all.stdout).stability).toEqual(
      plain(await stability(problem, { reward: 0.01, safety: [0.01, 0.01] })),
    );
    const each = ['0.02', '0', '0.01'].flatMap((error) => ['--score-error', error]);
    const stable = await stability(problem, { reward: 0.02, safety: [0, 0.01] });
    expect(JSON.parse((await solve(...each, '--json')).stdout).stability).toEqual(plain(stable));
    const [low, high] = stable.lambdaIntervals[1];
    expect((await solve(...each)).stdout).toMatch(
      new RegExp(`safety 2 by 0\\.0100\\n[^]*λ\\* 2 +\\S+ +${low.toFixed(4)} … ${high.toFixed(4)}`),
    );
  });

  test.each([
    [['0.1', '0.1'], /score errors: expected one for all scores, or 3, .* got 2/],
    [['-0.1'], /score errors: expected finite numbers from 0 up, got -0.1/],
  ])('%j is refused', async (errors, message) => {
    const outcome = await solve(...errors.map((error) => `--score-error=${error}`));
    expect(outcome).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
  });

  test.each(['--score-error', '--bootstrap', '--confidence'])('%s is refused of a run', async (flag) => {
    const args = ['dual', '--out', join(folder, 'run'), '--beta', '1', '--margin', '0', flag, '1'];
    const outcome = await dualign('node', args);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr).toContain(`${flag} goes with --scores`);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { Command } from 'commander';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { curveCommand } from '../../src/cli/curve.ts';
import { dualCommand } from '../../src/cli/dual.ts';
import { planCommand } from '../../src/cli/plan.ts';
import { solveDual, UserError } from '../../src/dual/index.ts';
import { generateScores } from '../support/score_generator.ts';

const folder = mkdtempSync(join(tmpdir(), 'dualign-scores-'));
const file = join(folder, 'scores.jsonl');
const scores = generateScores(3, 30, 8, 2);
writeFileSync(
  file,
  Array.from(scores.reward, (reward, i) =>
    JSON.stringify({
      prompt: `p${Math.floor(i / 8)}`,
      reward,
      safety: [scores.safety[i], scores.safety[240 + i]],
    }),
  ).join('\n'),
);
afterAll(() => rmSync(folder, { recursive: true }));

const exitCode = process.exitCode;
afterEach(() => {
  process.exitCode = exitCode;
  vi.restoreAllMocks();
});

const dual = (...args: string[]) =>
  run(
    dualCommand(async () => {}),
    args,
  );
const curve = (...args: string[]) => run(curveCommand(), args);
const plan = (...args: string[]) => run(planCommand(), args);

/** What the command prints, and the exit code it asks for. */
async function run(command: Command, args: string[]): Promise<{ text: string; exitCode: unknown }> {
  let text = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += chunk;
    return true;
  });
  process.exitCode = undefined;
  await command
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .parseAsync(args, { from: 'user' });
  vi.restoreAllMocks();
  return { text, exitCode: process.exitCode };
}

test('--json prints the solution; limits belong to the safety scores in order', async () => {
  const { text, exitCode } = await dual(
    '--scores',
    file,
    '--beta',
    '0.5',
    '--margin',
    '1',
    '--threshold',
    '-0.5',
    '--json',
  );
  const mean = scores.safety.subarray(0, 240).reduce((a, b) => a + b, 0) / 240;
  const printed = JSON.parse(text);
  expect(printed.thresholds[0]).toBeCloseTo(mean + 1, 12);
  expect(printed.thresholds[1]).toBe(-0.5);
  expect(printed).toEqual(
    await solveDual({ ...scores, beta: 0.5, thresholds: printed.thresholds, relative: [true, false] }),
  );
  expect(exitCode).toBeUndefined();
});

test('without --json, a table for people', async () => {
  const { text } = await dual('--scores', file, '--beta', '0.5', '--threshold', '0.2', '--threshold', '-0.5');
  expect(text).toMatch(/^optimal\n30 prompts × 8 responses, β = 0.5\n/);
  expect(text).toMatch(/safety 2 +-\d\.\d{4}/);
});

test('an impossible threshold: exit code 3 and the proof', async () => {
  const { text, exitCode } = await dual(
    '--scores',
    file,
    '--beta',
    '0.5',
    '--threshold',
    '50',
    '--threshold',
    '0',
  );
  expect(exitCode).toBe(3);
  expect(text).toMatch(/^infeasible/);
  expect(text).toMatch(/Proof/);
});

test.each([
  [
    'a missing file',
    ['--scores', join(folder, 'none.jsonl'), '--beta', '1', '--threshold', '0'],
    /no such file/,
  ],
  ['a folder', ['--scores', folder, '--beta', '1', '--threshold', '0'], /could not be read/],
  ['too few limits', ['--scores', file, '--beta', '1', '--threshold', '0'], /expected 2 limits.*got 1/],
  ['a bad beta', ['--scores', file, '--beta', '-1', '--threshold', '0', '--margin', '0'], /beta/],
])('%s: one clear error', async (_, args, message) => {
  const error = await dual(...args).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).message).toMatch(message);
  expect((error as UserError).exitCode).toBe(2);
});

test.each([
  ['no scores', ['--beta', '1'], /--scores/],
  ['a word for a number', ['--scores', file, '--beta', 'much'], /expected a number/],
])('%s: commander says what is wrong', async (_, args, message) => {
  await expect(dual(...args)).rejects.toThrow(message);
});

const LIMITS = ['--margin', '1', '--threshold', '-0.5'];

describe('certainty', () => {
  test('--bootstrap adds intervals, --confidence raises the thresholds', async () => {
    const asked = ['--scores', file, '--beta', '0.5', '--margin', '0.2', '--threshold', '-1.3'];
    const plain = JSON.parse((await dual(...asked, '--json')).text);
    const sure = JSON.parse(
      (await dual(...asked, '--confidence', '0.9', '--bootstrap', '50', '--json')).text,
    );
    expect(sure.confidence).toBe(0.9);
    for (const j of [0, 1]) {
      expect(sure.tightening[j]).toBeGreaterThan(0);
      expect(sure.thresholds[j]).toBeCloseTo(plain.thresholds[j] + sure.tightening[j], 12);
      expect(sure.bootstrap.lambda[j][0]).toBeLessThan(sure.bootstrap.lambda[j][1]);
    }
    const { text } = await dual(...asked, '--confidence', '0.9', '--bootstrap', '50');
    expect(text).toMatch(/hold with probability 0.9/);
    expect(text).toMatch(/95 % intervals over 50 resamples/);
  });
});

describe('curve', () => {
  const one = join(folder, 'one.jsonl');
  writeFileSync(
    one,
    Array.from(scores.reward, (reward, i) =>
      JSON.stringify({ prompt: `p${Math.floor(i / 8)}`, reward, safety: scores.safety[i] }),
    ).join('\n'),
  );

  test('of one safety score, for machines and for people', async () => {
    const { text } = await curve('--scores', one, '--beta', '0.5', '--points', '9', '--json');
    const { points, free, reachable } = JSON.parse(text);
    expect(points).toHaveLength(9);
    expect(points[0]).toMatchObject({ lambda: 0, safety: free });
    const table = (await curve('--scores', one, '--beta', '0.5', '--points', '9')).text;
    expect(table).toContain(`none beyond ${reachable.toFixed(4)}`);
    expect(table.trim().split('\n')).toHaveLength(3 + 1 + 1 + 9);
  });

  test('the threshold that fits a budget', async () => {
    const { text } = await curve('--scores', one, '--beta', '0.5', '--max-kl', '1.9', '--json');
    expect(JSON.parse(text).kl).toBeCloseTo(1.9, 6);
    await expect(curve('--scores', one, '--beta', '0.5', '--max-kl', '0.001')).rejects.toThrow(
      /no threshold/,
    );
  });

  test('of one among several safety scores', async () => {
    const args = ['--scores', file, '--beta', '0.5', ...LIMITS, '--axis', '2', '--from', '-1', '--to', '50'];
    const { axis, points } = JSON.parse((await curve(...args, '--points', '3', '--json')).text);
    expect(axis).toBe(2);
    expect(points.map((point: { status: string }) => point.status)).toEqual([
      'optimal',
      'infeasible',
      'infeasible',
    ]);
    expect(points[0].thresholds[1]).toBe(-1);
    expect((await curve(...args, '--points', '3')).text).toMatch(/infeasible/);
    await expect(curve(...args.slice(0, 4))).rejects.toThrow(/expected 2 limits/);
    await expect(curve(...args, '--axis', '3')).rejects.toThrow(/expected 1 to 2/);
  });
});

test('plan says what more samples would bring', async () => {
  const args = ['--scores', file, '--beta', '1', ...LIMITS, '--subsets', '4', '--target', '0.05'];
  const { prompts, responses, target } = JSON.parse((await plan(...args, '--json')).text);
  expect(prompts.map(({ size }: { size: number }) => size)).toEqual([3, 7, 15]);
  expect(responses.map(({ size }: { size: number }) => size)).toEqual([1, 2, 4]);
  expect(target.prompts).toBeGreaterThan(30);
  expect((await plan(...args)).text).toMatch(/about \d+ prompts bring the half-width there/);
});

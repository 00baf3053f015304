import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { dualCommand } from '../../src/cli/dual.ts';
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

/** What the command prints, and the exit code it asks for. */
async function dual(...args: string[]): Promise<{ text: string; exitCode: unknown }> {
  let text = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += chunk;
    return true;
  });
  process.exitCode = undefined;
  await dualCommand(async () => {})
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
  expect(printed).toEqual(await solveDual({ ...scores, beta: 0.5, thresholds: printed.thresholds }));
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

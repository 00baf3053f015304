import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { Command } from 'commander';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { curveCommand } from '../../src/cli/curve.ts';
import { dualCommand } from '../../src/cli/dual.ts';
import { planCommand } from '../../src/cli/plan.ts';
import { solveDual, thresholdsOf, UserError } from '../../src/dual/index.ts';
import { npyFile } from '../support/numpy_files.ts';
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

describe('scores in .npy files', () => {
  const npy = (name: string, shape: number[], values: Float64Array) => {
    const path = join(folder, name);
    writeFileSync(path, npyFile(shape, values));
    return path;
  };
  const reward = npy('reward.npy', [30, 8], scores.reward);
  const both = npy('both.npy', [2, 30, 8], scores.safety);
  const first = npy('first.npy', [30, 8], scores.safety.subarray(0, 240));
  const second = npy('second.npy', [30, 8], scores.safety.subarray(240));
  const asked = ['--beta', '0.5', '--margin', '0.1', '--margin', '0.1', '--json'];

  test('in one or in many give what the rows give', async () => {
    const expected = (await dual('--scores', file, ...asked)).text;
    expect((await dual('--reward', reward, '--safety', both, ...asked)).text).toBe(expected);
    const many = ['--reward', reward, '--safety', first, '--safety', second];
    expect((await dual(...many, ...asked)).text).toBe(expected);
    expect((await curve(...many, ...asked, '--points', '2')).text).toMatch(/"axis": 1/);
    expect((await plan(...many, ...asked)).text).toMatch(/"halfWidth"/);
  });

  test('with weights and numbers of responses beside', async () => {
    const counts = Float64Array.from({ length: 30 }, (_, n) => 3 + (n % 4));
    const weights = npy(
      'weights.npy',
      [30, 8],
      Float64Array.from({ length: 240 }, (_, i) => 1 + (i % 3)),
    );
    const responses = npy('responses.npy', [30], counts);
    const args = ['--reward', reward, '--safety', first, '--weights', weights, '--responses', responses];
    const kept = Array.from({ length: 240 }, (_, i) => i).filter((i) => i % 8 < counts[Math.floor(i / 8)]!);
    const rows = kept.map((i) =>
      JSON.stringify({
        prompt: `${Math.floor(i / 8)}`,
        reward: scores.reward[i],
        safety: scores.safety[i],
        weight: 1 + (i % 3),
      }),
    );
    const path = join(folder, 'weighted.jsonl');
    writeFileSync(path, rows.join('\n'));
    const rest = ['--beta', '0.5', '--margin', '0.3', '--json'];
    const { text } = await dual(...args, ...rest);
    expect(text).toBe((await dual('--scores', path, ...rest)).text);
    expect(JSON.parse(text).responses).toEqual([3, 6]);
    const unweighted = await dual(...args.slice(0, 4), ...args.slice(6), ...rest);
    expect(JSON.parse(unweighted.text).lambda).not.toEqual(JSON.parse(text).lambda);
    const bad = npy(
      'bad.npy',
      [30, 8],
      Float64Array.from({ length: 240 }, (_, i) => (i === 9 ? -1 : 1)),
    );
    await expect(dual('--reward', reward, '--safety', first, '--weights', bad, ...rest)).rejects.toThrow(
      /got -1 of response 2 to prompt 2/,
    );
  });

  test.each([
    ['reward alone', ['--reward', reward], /both --reward and --safety, got --reward alone/],
    ['safety alone', ['--safety', first], /got --safety alone/],
    ['--scores too', ['--scores', file, '--reward', reward, '--safety', both], /--scores or arrays/],
    ['a missing file', ['--reward', reward, '--safety', join(folder, 'no.npy')], /no\.npy: no such file/],
    ['JSON in its place', ['--reward', file, '--safety', both], /expected a \.npy file/],
    ['shapes that differ', ['--reward', reward, '--safety', first, '--safety', both], /\[2, 30, 8\]/],
    ['one array as --scores', ['--scores', reward], /holds one array.*numpy\.savez/],
  ])('with %s: one clear error', async (_, args, message) => {
    const error = await dual(...args, ...asked).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toMatch(message);
    expect((error as UserError).exitCode).toBe(2);
  });
});

describe('scores from a URL', () => {
  const table = parquetWriteBuffer({
    columnData: [
      { name: 'prompt', data: Array.from(scores.reward, (_, i) => `p${Math.floor(i / 8)}`) },
      { name: 'reward', data: Array.from(scores.reward), type: 'DOUBLE' },
      { name: 'safety', data: Array.from(scores.safety.subarray(0, 240)), type: 'DOUBLE' },
      { name: 'response', data: Array.from(scores.reward, () => 'y'.repeat(20_000)), encoding: 'PLAIN' },
    ],
    codec: 'UNCOMPRESSED',
  });
  let parquetBytes = 0;
  const server = createServer(({ url, headers, method }, response) => {
    if (url === '/rows') response.end(readFileSync(file));
    else if (url === '/broken') {
      response.writeHead(200, { 'content-length': 1e6 });
      response.write('{"prompt": ', () => response.destroy());
    } else if (url !== '/parquet') response.writeHead(404).end();
    else {
      const [, from, to] = /bytes=(\d+)-(\d*)/.exec(headers.range ?? '') ?? [];
      const part = from ? table.slice(Number(from), to ? Number(to) + 1 : undefined) : table;
      response.writeHead(from ? 206 : 200, { 'content-length': part.byteLength });
      if (from) parquetBytes += part.byteLength;
      response.end(method === 'HEAD' ? undefined : new Uint8Array(part));
    }
  });
  let base = '';
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, resolve));
    base = `http://localhost:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  const asked = ['--beta', '0.5', '--margin', '0.1', '--json'];

  test('of rows, read as they come', async () => {
    const both = [...asked, '--margin', '0.1'];
    const expected = (await dual('--scores', file, ...both)).text;
    expect((await dual('--scores', `${base}/rows`, ...both)).text).toBe(expected);
  });

  test('of parquet, only the columns that count', async () => {
    const thresholds = await thresholdsOf(scores, [{ margin: 0.1 }]);
    const { text } = await dual('--scores', `${base}/parquet`, ...asked);
    expect(JSON.parse(text)).toEqual(
      await solveDual({
        ...scores,
        safety: scores.safety.subarray(0, 240),
        beta: 0.5,
        thresholds,
        relative: [true],
      }),
    );
    expect(parquetBytes).toBeLessThan(table.byteLength / 10);
  });

  test.each([
    ['that is not there', () => `${base}/none`, /the server answered 404/],
    ['of no server', () => 'http://localhost:1/', /could not be fetched/],
    ['that breaks off', () => `${base}/broken`, /the transfer broke off/],
  ])('%s: one clear error', async (_, url, message) => {
    const error = await dual('--scores', url(), ...asked).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toMatch(message);
  });
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

  test('of scores that hardly differ, with digits that tell the rows apart', async () => {
    const narrow = join(folder, 'narrow.jsonl');
    writeFileSync(
      narrow,
      Array.from(scores.reward, (reward, i) =>
        JSON.stringify({ prompt: `p${Math.floor(i / 8)}`, reward, safety: 0.5 + 1e-9 * scores.safety[i] }),
      ).join('\n'),
    );
    const { text } = await curve('--scores', narrow, '--beta', '0.5', '--points', '9');
    const thresholds = text
      .trim()
      .split('\n')
      .slice(-9)
      .map((row) => row.split(' ')[0]);
    expect(new Set(thresholds).size).toBe(9);
    expect(thresholds).toEqual(thresholds.toSorted((a, b) => Number(a) - Number(b)));
    const { text: solved } = await dual('--scores', narrow, '--beta', '0.5', '--margin', '1e-9');
    const [reference, optimal] = /safety 1 +(\S+) +(\S+)/.exec(solved)!.slice(1).map(Number);
    expect(optimal - reference).toBeCloseTo(1e-9, 9);
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

describe('curves of two safety scores', () => {
  const two = ['--scores', file, '--beta', '0.5'];

  test('along a direction, to 1 % short of where it leaves the reach', async () => {
    const start = [...two, '--margin', '0', '--margin', '0', '--direction', '1', '--direction', '-0.5'];
    const { direction, points } = JSON.parse((await curve(...start, '--points', '4', '--json')).text);
    expect(direction).toEqual([1, -0.5]);
    const thresholds = await thresholdsOf(scores, [{ margin: 0 }, { margin: 0 }]);
    for (const {
      t,
      thresholds: [a, b],
      lambda,
      status,
    } of points) {
      expect(status).toBe('optimal');
      expect([a, b]).toEqual([thresholds[0]! + t, thresholds[1]! - t / 2]);
      const solved = await solveDual({ ...scores, beta: 0.5, thresholds: [a, b] });
      if (solved.status !== 'optimal') throw new Error(solved.status);
      for (const j of [0, 1]) expect(lambda[j]).toBeCloseTo(solved.lambda[j]!, 6);
    }
    const beyond = points.at(-1).t / 0.99 + 1e-3;
    const out = [thresholds[0]! + beyond, thresholds[1]! - beyond / 2];
    expect((await solveDual({ ...scores, beta: 0.5, thresholds: out })).status).not.toBe('optimal');
    expect((await curve(...start)).text).toMatch(/^t +threshold 1 +threshold 2 +λ\* 1/);
  });

  test('on a grid', async () => {
    const { first, second, points } = JSON.parse((await curve(...two, '--grid', '3', '--json')).text);
    expect(points.map((row: unknown[]) => row.length)).toEqual([3, 3, 3]);
    expect(points[2][1].thresholds).toEqual([first[2], second[1]]);
    const solved = await solveDual({ ...scores, beta: 0.5, thresholds: points[1][0].thresholds });
    if (solved.status !== 'optimal') throw new Error(solved.status);
    expect(points[1][0].dual).toBeCloseTo(solved.dual, 9);
    expect((await curve(...two, '--grid', '3')).text).toMatch(/reward\n(.|\n)*λ\* 2\n/);
  });

  test('a price stands for the thresholds that its policy achieves', async () => {
    const lambda = [0.3, 0.2];
    const args = lambda.flatMap((value) => ['--lambda', String(value)]);
    const { thresholds, reward, kl } = JSON.parse((await curve(...two, ...args, '--json')).text);
    const solved = await solveDual({ ...scores, beta: 0.5, thresholds });
    if (solved.status !== 'optimal') throw new Error(solved.status);
    for (const j of [0, 1]) expect(solved.lambda[j]).toBeCloseTo(lambda[j]!, 7);
    expect(solved.expected.reward).toBeCloseTo(reward, 7);
    expect(solved.kl).toBeCloseTo(kl, 7);
    expect((await curve(...two, ...args)).text).toMatch(/safety 2 +0\.2000/);
  });

  test.each([
    ['two questions', ['--grid', '3', '--max-kl', '1'], /one of --grid and --max-kl, got both/, 2],
    ['half a direction', [...LIMITS, '--direction', '1'], /direction: .* each of the 2/, 2],
    ['no direction', [...LIMITS, '--direction', '0', '--direction', '0'], /not all 0/, 2],
    ['an endless direction', [...LIMITS, '--direction', '-1', '--direction', '0'], /say where to go/, 2],
    ['a grid of one', ['--grid', '1'], /grid: expected 2 to 200/, 2],
    ['one price for two', ['--lambda', '1'], /lambda: expected one for each of the 2/, 2],
    ['a negative price', ['--lambda', '-1', '--lambda', '0'], /lambda: expected finite numbers from 0/, 2],
    [
      'limits out of reach',
      ['--margin', '50', '--margin', '0', '--direction', '1', '--direction', '0'],
      /limits to start from are out of reach/,
      3,
    ],
  ])('%s: one clear error', async (_, args, message, code) => {
    const error = await curve(...two, ...args).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toMatch(message);
    expect((error as UserError).exitCode).toBe(code);
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

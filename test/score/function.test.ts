import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { loadScorer } from '../../src/host/scorers.ts';
import { FunctionScorer, type ScoreFunction } from '../../src/score/function.ts';
import { temporaryFolder } from './support/folders.ts';

const rows = [
  { prompt: 'a', response: 'x' },
  { prompt: 'b', response: 'yy' },
  { prompt: 'a', response: 'zzz' },
];

function moduleWith(name: string, text: string): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, text);
  return path;
}

describe('a function of the user as scorer', () => {
  it('is called once per prompt and its scores go back to their rows', async () => {
    const calls: [string, string[]][] = [];
    const scorer = new FunctionScorer('length', (prompt, responses) => {
      calls.push([prompt, responses]);
      return responses.map((response) => response.length);
    });
    const seen: number[][] = [];
    expect([...(await scorer.score(rows, (...at) => seen.push(at)))]).toEqual([1, 2, 3]);
    expect(calls).toEqual([
      ['a', ['x', 'zzz']],
      ['b', ['yy']],
    ]);
    expect(seen).toEqual([
      [2, 3],
      [3, 3],
    ]);
  });

  const wrong: [string, unknown, string][] = [
    ['too few', [1], 'scorer: expected 2 scores, one a response, got 1'],
    ['NaN', [1, Number.NaN], 'scorer: expected a finite number for response 2 of 2, got NaN'],
    ['text', [1, 'good'], 'scorer: expected a finite number for response 2 of 2, got "good"'],
    ['one number', 1, 'scorer: expected an array of 2 numbers, got 1'],
    ['nothing', undefined, 'scorer: expected an array of 2 numbers, got undefined'],
  ];
  for (const [what, result, message] of wrong) {
    it(`refuses ${what} as result`, async () => {
      const scorer = new FunctionScorer('scorer', (() => result) as unknown as ScoreFunction);
      await expect(scorer.score(rows)).rejects.toThrow(new UserError(message));
    });
  }
});

describe('a module of the user as scorer', () => {
  it('may be TypeScript or JavaScript, by a path relative to the current directory', async () => {
    const typescript = moduleWith(
      'length.ts',
      'export default async (prompt: string, responses: string[]): Promise<number[]> => responses.map((r) => r.length);',
    );
    expect([...(await (await loadScorer(relative('.', typescript))).score(rows))]).toEqual([1, 2, 3]);
    const javascript = moduleWith(
      'zero.mjs',
      'export default (prompt, responses) => new Float32Array(responses.length);',
    );
    expect([...(await (await loadScorer(javascript)).score(rows))]).toEqual([0, 0, 0]);
  });

  it('may fail in one clear line', async () => {
    const broken = moduleWith('broken.mjs', 'export default (');
    await expect(loadScorer(broken)).rejects.toThrow(`${broken}: could not be loaded as a module`);
    const bare = moduleWith('bare.mjs', 'export const score = () => [];');
    await expect(loadScorer(bare)).rejects.toThrow(
      'expected a default export (prompt, responses) => number[], got none',
    );
    await expect(loadScorer('./nowhere.ts')).rejects.toThrow('./nowhere.ts: no such scorer');
    const throws = moduleWith('throws.mjs', 'export default () => { throw new Error("no key"); };');
    await expect((await loadScorer(throws)).score(rows)).rejects.toThrow(
      'throws.mjs: failed on a prompt (no key)',
    );
  });

  it('is told from a folder of an ONNX model', async () => {
    const folder = join(temporaryFolder(), 'empty');
    mkdirSync(folder);
    await expect(loadScorer(folder)).rejects.toThrow('model.onnx is not there');
  });
});

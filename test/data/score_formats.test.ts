import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, test } from 'vitest';
import { ByteStream } from '../../src/data/byte_stream.ts';
import { readNpy } from '../../src/data/npy.ts';
import { tableOfArrays } from '../../src/data/score_arrays.ts';
import { readScores } from '../../src/data/scores.ts';
import type { StoredArray } from '../../src/data/stored_values.ts';
import { UserError } from '../../src/errors.ts';
import { pythonFile } from './python_files.ts';

/** Chunks of a few bytes, so that headers and numbers are cut anywhere. */
function* pieces(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function refused(reading: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await reading.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).message).toMatch(message);
  expect((error as UserError).exitCode).toBe(2);
  expect((error as UserError).message).not.toContain('\n');
}

const SAFETY = Array.from({ length: 12 }, (_, i) => i / 2 - 1);

test.each([
  [
    'UTF-16',
    Buffer.from('\ufeff{"prompt":"a","reward":1,"safety":1}', 'utf16le'),
    /found UTF-16; save it as UTF-8/,
  ],
  ['UTF-16 without a mark', Buffer.from('{"prompt":"a"}', 'utf16le'), /found UTF-16/],
  ['UTF-16, big-endian', Buffer.from('{"prompt":"a"}', 'utf16le').swap16(), /found UTF-16/],
  [
    'Latin-1',
    Buffer.from('{"prompt":"é","reward":1,"safety":1}', 'latin1'),
    /expected text in UTF-8, found other bytes/,
  ],
])('text in %s is refused', async (_, bytes, message) => {
  for (const size of [1, 7, 100]) await refused(readScores(pieces(bytes, size), 'a.jsonl'), message);
});

test('lists within lists are refused, however deep', async () => {
  const deep = `${'['.repeat(1e5)}${']'.repeat(1e5)}`;
  const read = (text: string) => readScores(pieces(new TextEncoder().encode(text), 4096), 'a.jsonl');
  await refused(read(`{"prompt":${deep},"reward":1,"safety":1}`), /row 1: expected "prompt" as a string/);
  await refused(read(`{"prompt":"a","reward":${deep},"safety":1}`), /row 1: expected a finite number/);
});

describe('.npy', () => {
  const read = (bytes: Uint8Array, size = 5) =>
    readNpy(new ByteStream(pieces(bytes, size), 'a.npy'), 'a.npy');

  test.each(['f2', 'f4', 'f8', 'i8'] as const)('of %s, in f32 where that holds it', async (dtype) => {
    const view = dtype === 'f2' || dtype === 'f4' ? Float32Array : Float64Array;
    expect(await read(pythonFile(dtype))).toEqual({ shape: [2, 3], values: view.of(0, 1, 2, 3, 4, 5) });
  });

  test('in Fortran order', async () => {
    expect(await read(pythonFile('fortran'))).toEqual({
      shape: [2, 2, 3],
      values: Float64Array.from(SAFETY),
    });
  });

  const edited = (from: string, to: string) => {
    const text = Array.from(pythonFile('f4'), (byte) => String.fromCharCode(byte)).join('');
    return Uint8Array.from(text.replace(from, to), (character) => character.charCodeAt(0));
  };
  test.each([
    ['other bytes', new TextEncoder().encode('reward,safety\n1,2\n'), /expected a \.npy file/],
    ['big-endian numbers', pythonFile('bigEndian'), /little-endian .* got dtype >f4; save array\.astype/],
    ['objects', edited("'<f4'", "'|O'"), /got dtype \|O/],
    ['fields', edited("'<f4'", '[(1,2)]'), /got dtype with fields/],
    ['no shape', edited('shape', 'shade'), /not a valid \.npy file \(its header is \{'descr'/],
    ['a version of the future', edited('\x01\x00', '\x09\x00'), /version 1 to 3, got version 9/],
    ['a cut header', pythonFile('f4').subarray(0, 60), /cut short/],
    ['cut values', pythonFile('f4').subarray(0, -3), /cut short, at least 3 bytes are missing/],
  ])('with %s is refused', (_, bytes, message) => refused(read(bytes), message));
});

describe('.npz', () => {
  const read = (bytes: Uint8Array, size = 7) => readScores(pieces(bytes, size), 'a.npz');

  test('stored or compressed, in any order, with other arrays beside', async () => {
    for (const size of [1, 100, 1 << 20]) {
      expect(await read(pythonFile('stored'), size)).toEqual({
        reward: Float32Array.of(0, 0.5, 1, 1.5, 2, 2.5),
        safety: Float64Array.from(SAFETY),
        prompts: 2,
        responses: 3,
      });
      expect(await read(pythonFile('padded'), size)).toEqual({
        reward: Float64Array.of(0, 0.5, 1.5, 2, 2.5),
        safety: Float64Array.from(SAFETY.filter((_, i) => i % 6 !== 2)),
        weights: Float64Array.of(1, 2, 3, 4, 5),
        prompts: 2,
        responses: Uint32Array.of(2, 3),
      });
    }
  });

  const changed = (name: 'stored' | 'padded', at: number, value: number) => {
    const bytes = pythonFile(name);
    bytes[at] = value;
    return bytes;
  };
  const body = new TextDecoder('latin1').decode(pythonFile('padded')).indexOf('reward.npy') + 40;
  test.each([
    ['cut short', pythonFile('stored').subarray(0, 500), /cut short/],
    ['cut between its files', pythonFile('stored').subarray(0, 2), /JSON/],
    ['encrypted', changed('stored', 6, 1), /ids\.npy is encrypted; write it with numpy\.savez/],
    ['written to a pipe', changed('stored', 6, 8), /does not say its size in front/],
    ['compressed otherwise', changed('stored', 8, 12), /compressed by method 12/],
    ['damaged', changed('padded', body, 0xff), /reward\.npy: its compressed bytes are damaged/],
  ])('%s is refused', (_, bytes, message) => refused(read(bytes), message));
});

describe('arrays', () => {
  const array = (shape: number[], values?: number[]): StoredArray => ({
    shape,
    values: Float64Array.from(values ?? { length: shape.reduce((a, b) => a * b, 1) }, Number),
  });
  const table = async (arrays: Record<string, StoredArray>) =>
    tableOfArrays(new Map(Object.entries(arrays)), 'scores');

  test('without padding, the numbers of responses say where prompts end', async () => {
    expect(
      await table({
        reward: array([3], [1, 2, 3]),
        safety: array([1, 3], [4, 5, 6]),
        responses: array([2], [1, 2]),
      }),
    ).toEqual({
      reward: Float64Array.of(1, 2, 3),
      safety: Float64Array.of(4, 5, 6),
      prompts: 2,
      responses: Uint32Array.of(1, 2),
    });
  });

  const reward = array([2, 3]);
  const safety = array([1, 2, 3]);
  const responses = (...counts: number[]) => array([counts.length], counts);
  test.each<[string, Record<string, StoredArray>, RegExp]>([
    ['no safety', { reward }, /"safety" \[m, N, K\], found reward/],
    ['scores in the last place', { reward, safety: array([2, 3, 4]) }, /come first: numpy\.moveaxis/],
    ['a flat reward alone', { reward: array([6]), safety: array([1, 6]) }, /"responses" \[N\]; got \[6\]/],
    ['nothing in it', { reward: array([0, 3]), safety: array([1, 0, 3]) }, /empty arrays \[0, 3\]/],
    ['other weights', { reward, safety, weights: array([2]) }, /"weights" like "reward" \[2, 3\], got \[2\]/],
    ['too few numbers of responses', { reward, safety, responses: responses(3) }, /"responses" \[2\]/],
    ['half a response', { reward, safety, responses: responses(3, 0.5) }, /got 0\.5 for prompt 2/],
    ['a prompt without response', { reward, safety, responses: responses(0, 3) }, /got 0 for prompt 1/],
    ['more responses than fit', { reward, safety, responses: responses(3, 4) }, /1 to 3 .* got 4/],
    [
      'numbers that do not add up',
      { reward: array([3]), safety: array([1, 3]), responses: responses(1, 1) },
      /the 2 scores that "responses" adds up to, got 3/,
    ],
  ])('with %s are refused', (_, arrays, message) => refused(table(arrays), message));
});

describe('parquet', () => {
  const read = (bytes: Uint8Array | ArrayBuffer) =>
    readScores(pieces(new Uint8Array(bytes), 50), 'a.parquet');
  type Columns = Parameters<typeof parquetWriteBuffer>[0]['columnData'];
  const write = (columnData: Columns, rowGroupSize = 2) => parquetWriteBuffer({ columnData, rowGroupSize });

  test('of pandas, f32 where the column is', async () => {
    expect(await read(pythonFile('pandas'))).toEqual({
      reward: Float32Array.of(1, 3, 2.5),
      safety: Float64Array.of(0.5, 2.5, 1.5, -1, -3, -2),
      weights: Float64Array.of(1, 0.5, 2),
      prompts: 2,
      responses: Uint32Array.of(2, 1),
    });
  });

  test('of several row groups, with messages, integers and one plain safety score', async () => {
    const messages = (content: string) => [{ role: 'user', content }];
    const bytes = write([
      { name: 'prompt', data: ['a', 'b', 'a', 'b', 'c'].map(messages), type: 'JSON' },
      { name: 'reward', data: [1n, 2n, 3n, 4n, 5n], type: 'INT64' },
      { name: 'safety', data: [0.5, 1.5, 2.5, 3.5, 4.5], type: 'DOUBLE' },
    ]);
    expect(await read(bytes)).toEqual({
      reward: Float64Array.of(1, 3, 2, 4, 5),
      safety: Float64Array.of(0.5, 2.5, 1.5, 3.5, 4.5),
      prompts: 3,
      responses: Uint32Array.of(2, 2, 1),
    });
  });

  const prompt = { name: 'prompt', data: ['a', 'b', 'c'] };
  const reward = { name: 'reward', data: [1, 2, 3], type: 'DOUBLE' as const };
  const safety = { name: 'safety', data: [1, 2, 3], type: 'DOUBLE' as const };
  test.each([
    ['no safety', write([prompt, reward]), /found no safety among prompt, reward/],
    ['NaN', write([prompt, reward, { ...safety, data: [1, 2, Number.NaN] }]), /row 3: .*"safety".*got NaN/],
    ['null', write([prompt, { ...reward, data: [1, null, 3] }, safety]), /row 2: .*"reward", got null/],
    ['words', write([prompt, { name: 'reward', data: ['x', 'y', 'z'] }, safety]), /row 1: .*got "x"/],
    [
      'a negative weight',
      write([prompt, reward, safety, { name: 'weight', data: [1, 1, -1], type: 'DOUBLE' }]),
      /row 3: expected a finite "weight" from 0 up, got -1/,
    ],
    ['no rows', write([prompt, reward, safety].map((column) => ({ ...column, data: [] }))), /found none/],
    ['its end missing', write([prompt, reward, safety]).slice(0, -9), /a\.parquet: not a readable parquet/],
  ])('with %s is refused', (_, bytes, message) => refused(read(bytes), message));
});

describe('weights of rows', () => {
  const read = (...rows: string[]) => readScores([new TextEncoder().encode(rows.join('\n'))], 'a.jsonl');
  const row = (prompt: string, rest = '') => `{"prompt": "${prompt}", "reward": 1, "safety": 2${rest}}`;

  test('stand beside the scores of their response', async () => {
    const rows = [row('a', ', "weight": 1'), row('b', ', "weight": 2'), row('a', ', "weight": 0')];
    expect(await read(...rows)).toMatchObject({ weights: Float64Array.of(1, 0, 2) });
    expect(await read(row('a', ', "weight": null'))).not.toHaveProperty('weights');
  });

  test.each([
    ['negative', '-1', /row 2: expected a finite "weight" from 0 up, got -1/],
    ['infinite', '1e999', /row 2: .*got Infinity/],
    ['a word', '"much"', /row 2: .*got "much"/],
    ['missing', 'null', /row 2: expected a "weight" as in the rows before, got null/],
  ])('that are %s are refused', (_, weight, message) =>
    refused(read(row('a', ', "weight": 1'), row('a', `, "weight": ${weight}`)), message),
  );

  test('in some rows only are refused', () =>
    refused(read(row('a'), row('a', ', "weight": 1')), /row 2: expected no "weight" as in the rows before/));
});

test('long prompts are told apart', async () => {
  const rows = Array.from({ length: 400 }, (_, i) =>
    JSON.stringify({ prompt: `${'x'.repeat(500)}${i % 200}`, reward: i, safety: [i] }),
  );
  const { prompts, responses } = await readScores([new TextEncoder().encode(rows.join('\n'))], 'a.jsonl');
  expect([prompts, responses]).toEqual([200, 2]);
});

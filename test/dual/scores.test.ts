import { expect, test } from 'vitest';
import { type TensorData, writeSafetensors } from '../../src/data/safetensors.ts';
import { readScores } from '../../src/data/scores.ts';
import { UserError } from '../../src/errors.ts';

const encode = (text: string) => new TextEncoder().encode(text);

/** Chunks of a few bytes, so that rows and characters are cut anywhere. */
function* pieces(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const read = (text: string) => readScores([encode(text)], 'scores.jsonl');

test('rows of one prompt are its responses, wherever they stand', async () => {
  const text = [
    '{"prompt": "ä", "response": "x", "reward": 1, "safety": [10, 20]}',
    '{"prompt": "b", "reward": 2, "safety": [11, 21], "other": {"a": 1}}',
    '',
    '{"prompt": "ä", "reward": 3, "safety": [12, 22]}\r',
    '{"prompt": [{"role": "user", "content": "b"}], "reward": 4, "safety": [13, 23]}',
  ].join('\n');
  for (const size of [1, 7, 1000]) {
    const table = await readScores(pieces(encode(text), size), 'scores.jsonl');
    expect(table).toEqual({
      reward: Float64Array.of(1, 3, 2, 4),
      safety: Float64Array.of(10, 12, 11, 13, 20, 22, 21, 23),
      prompts: 3,
      responses: Uint32Array.of(2, 1, 1),
    });
  }
});

test('an even table says its K, and one safety score may stand without brackets', async () => {
  const rows = [0, 1, 2, 3]
    .map((i) => `{"prompt": "${i % 2}", "reward": ${i}, "safety": ${i - 1}}\n`)
    .join('');
  expect(await read(rows)).toEqual({
    reward: Float64Array.of(0, 2, 1, 3),
    safety: Float64Array.of(-1, 1, 0, 2),
    prompts: 2,
    responses: 2,
  });
});

test('more rows than the first buffer holds', async () => {
  const rows = Array.from(
    { length: 3000 },
    (_, i) => `{"prompt": "${i}", "reward": ${i / 8}, "safety": [${i}]}`,
  );
  const { reward, prompts } = await read(rows.join('\n'));
  expect(prompts).toBe(3000);
  expect(reward).toEqual(Float64Array.from({ length: 3000 }, (_, i) => i / 8));
});

const good = '{"prompt": "a", "reward": 1, "safety": [1]}\n';

test.each([
  ['empty', '', /empty/],
  ['blank lines only', '\n\n', /found none/],
  ['not JSON', `${good}nonsense`, /row 2: expected JSON/],
  [
    'NaN as Python writes it',
    `${good}${good}{"prompt": "a", "reward": NaN, "safety": [1]}`,
    /row 3: .*finite.* NaN/,
  ],
  ['-Infinity', `{"prompt": "a", "reward": 1, "safety": [-Infinity]}`, /row 1: .*-Infinity/],
  ['a number too large', `{"prompt": "a", "reward": 1e999, "safety": [1]}`, /row 1: .*Infinity/],
  ['null reward', `${good}{"prompt": "a", "reward": null, "safety": [1]}`, /row 2: .*"reward", got null/],
  ['no prompt', '{"reward": 1, "safety": [1]}', /row 1: .*"prompt".*nothing/],
  ['no safety', '{"prompt": "a", "reward": 1}', /row 1: .*"safety".*nothing/],
  ['no safety score', '{"prompt": "a", "reward": 1, "safety": []}', /row 1: .*"safety"/],
  [
    'another number of safety scores',
    `${good}\n{"prompt": "a", "reward": 1, "safety": [1, 2]}`,
    /row 3: expected 1 .* got 2/,
  ],
  ['not an object', '[1, 2]', /row 1: expected an object/],
])('%s', async (_, text, message) => {
  await expect(read(text)).rejects.toThrow(message);
  await expect(read(text)).rejects.toBeInstanceOf(UserError);
});

function tensor(shape: number[], single = false): TensorData {
  const values = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i / 2);
  return { shape, data: single ? Float32Array.from(values) : Float64Array.from(values) };
}

const safetensors = (tensors: Record<string, TensorData>) => writeSafetensors(Object.entries(tensors));

test('safetensors of either precision, cut into chunks', async () => {
  for (const single of [false, true]) {
    const bytes = safetensors({ reward: tensor([2, 3], single), safety: tensor([2, 2, 3], single) });
    const halves = (length: number) =>
      (single ? Float32Array : Float64Array).from(Array.from({ length }, (_, i) => i / 2));
    for (const size of [1, 8, 1000])
      expect(await readScores(pieces(bytes, size), 'scores.safetensors')).toEqual({
        reward: halves(6),
        safety: halves(12),
        prompts: 2,
        responses: 3,
      });
  }
  const { safety } = await readScores(
    [safetensors({ reward: tensor([2, 3]), safety: tensor([2, 3]) })],
    'scores.safetensors',
  );
  expect(safety).toHaveLength(6);
});

test.each<[string, Record<string, TensorData>, RegExp]>([
  ['a missing tensor', { reward: tensor([2, 3]) }, /"safety".*found reward/],
  [
    'shapes that disagree',
    { reward: tensor([2, 3]), safety: tensor([1, 3, 2]) },
    /got \[2, 3\] and \[1, 3, 2\]/,
  ],
  ['a flat reward', { reward: tensor([6]), safety: tensor([1, 6]) }, /got \[6\]/],
])('safetensors with %s', async (_, tensors, message) => {
  await expect(readScores([safetensors(tensors)], 'scores.safetensors')).rejects.toThrow(message);
});

test('a truncated safetensors file', async () => {
  const bytes = safetensors({ reward: tensor([2, 3]), safety: tensor([1, 2, 3]) });
  await expect(readScores([bytes.subarray(0, bytes.length - 5)], 'scores.safetensors')).rejects.toThrow(
    /cut short/,
  );
});

import { afterAll, describe, expect, test } from 'vitest';
import type { Engine, SampleOptions } from '../../src/engine/engine.ts';
import { philox } from '../../src/random.ts';
import { engines } from './support.ts';
import { openEngine } from './variants.ts';

const DRAWS = 20_000;

describe.each(engines)('sample, %s', (name) => {
  const opened: Promise<Engine> = openEngine(name);
  afterAll(async () => (await opened).destroy());

  /** Tokens drawn for `rows` copies of one row of logits, stream and length numbered by row. */
  async function draw(logits: number[], rows: number, options: Partial<SampleOptions>): Promise<Uint32Array> {
    const engine = await opened;
    const vocab = logits.length;
    const repeated = engine.upload(
      Float32Array.from({ length: rows * vocab }, (_, i) => logits[i % vocab]),
      [rows, vocab],
    );
    const streams = engine.upload(
      Uint32Array.from({ length: 2 * rows }, (_, i) => (i % 2 ? 77 : i / 2)),
      [rows, 2],
    );
    const lengths = engine.upload(
      Uint32Array.from({ length: rows }, (_, i) => i % 50),
      [rows],
    );
    const next = engine.tensor([rows], 'u32');
    const logps = engine.tensor([rows]);
    engine.sample(next, logps, repeated, streams, lengths, {
      temperature: 1,
      topK: 0,
      topP: 1,
      key: [9, 8],
      ...options,
    });
    const tokens = await engine.readU32(next);
    engine.free(repeated, streams, lengths, next, logps);
    return tokens;
  }

  /** Pearson's χ² of `tokens` against `expected` probabilities; tokens of probability 0 must not occur. */
  function expectDistribution(tokens: Uint32Array, expected: number[]): void {
    const counts = expected.map((_, id) => tokens.filter((token) => token === id).length);
    expect(counts.reduce((a, b) => a + b)).toBe(tokens.length);
    let statistic = 0;
    expected.forEach((p, id) => {
      if (p === 0) expect(counts[id]).toBe(0);
      else statistic += (counts[id] - p * tokens.length) ** 2 / (p * tokens.length);
    });
    // The 0.999 quantile of χ² with 5 degrees of freedom, the most any case here has.
    expect(statistic).toBeLessThan(20.5);
  }

  function softmax(logits: number[]): number[] {
    const weights = logits.map(Math.exp);
    const sum = weights.reduce((a, b) => a + b);
    return weights.map((weight) => weight / sum);
  }

  const LOGITS = [0.3, 1.2, -0.4, 2, 0.9, -1.5];
  const kept = (ids: number[], scale = 1) =>
    softmax(LOGITS.map((x, id) => (ids.includes(id) ? x * scale : Number.NEGATIVE_INFINITY)));

  test('temperature 0 takes the most likely token, the lowest id on a tie', async () => {
    expect([...(await draw([1, 3, 2, 3, 3], 3, { temperature: 0 }))]).toEqual([1, 1, 1]);
    expect([...(await draw([-5, -7, -6], 1, { temperature: 0 }))]).toEqual([0]);
    expect([...(await draw([-0, 0], 1, { temperature: 0 }))]).toEqual([0]);
  });

  test('draws follow the softmax', async () => {
    expectDistribution(await draw(LOGITS, DRAWS, {}), softmax(LOGITS));
  });

  test('temperature divides the logits', async () => {
    expectDistribution(await draw(LOGITS, DRAWS, { temperature: 0.5 }), kept([0, 1, 2, 3, 4, 5], 2));
  });

  test('top-k keeps the k most likely', async () => {
    expectDistribution(await draw(LOGITS, DRAWS, { topK: 3 }), kept([1, 3, 4]));
    expect(new Set(await draw(LOGITS, 100, { topK: 1 }))).toEqual(new Set([3]));
  });

  test('top-k keeps all that tie with the k-th', async () => {
    expectDistribution(await draw([1, 0, 1, 1, -2], DRAWS, { topK: 2 }), [1 / 3, 0, 1 / 3, 1 / 3, 0]);
  });

  test('top-p keeps the fewest most likely tokens that reach it', async () => {
    // Softmax: .090 .222 .045 .495 .165 .015 in order of id here, so .495 + .222 < 0.8 ≤ .495 + .222 + .165.
    expectDistribution(await draw(LOGITS, DRAWS, { topP: 0.8 }), kept([3, 1, 4]));
    expect(new Set(await draw(LOGITS, 100, { topP: 0.01 }))).toEqual(new Set([3]));
  });

  test('top-p counts within what top-k left', async () => {
    // Among ids 3 and 1, id 3 has probability .69: 0.68 needs it alone, 0.7 both.
    expect(new Set(await draw(LOGITS, 100, { topK: 2, topP: 0.68 }))).toEqual(new Set([3]));
    expectDistribution(await draw(LOGITS, DRAWS, { topK: 2, topP: 0.7 }), kept([3, 1]));
  });

  test('a token of logit −∞ is never drawn', async () => {
    const logits = [Number.NEGATIVE_INFINITY, 0, Number.NEGATIVE_INFINITY, 0];
    expect(new Set(await draw(logits, 1000, { topP: 0.9 }))).toEqual(new Set([1, 3]));
  });

  test('the uniform is the first Philox word at (stream, length)', async () => {
    // With 1024 equal logits the token is the top 10 bits of the word.
    const tokens = await draw(new Array(1024).fill(0), 200, { key: [0xdeadbeef, 12345] });
    const expected = Array.from(tokens, (_, i) => philox([0xdeadbeef, 12345], [i, 77, i % 50, 0])[0] >>> 22);
    expect([...tokens]).toEqual(expected);
  });
});

describe.each(engines)('advance, %s', (name) => {
  test('appends until a row ends or is full, and keeps finished rows as they are', async () => {
    const engine = await openEngine(name);
    const upload = (values: number[], shape = [values.length]) =>
      engine.upload(Uint32Array.from(values), shape);
    const tokens = upload([1, 0, 0, 1, 0, 0, 1, 1, 0], [3, 3]);
    const lengths = upload([1, 1, 2]);
    const [finished, current, positions] = [0, 1, 2].map(() => engine.tensor([3], 'u32'));
    const eos = upload([2]);
    const state = async () =>
      (await Promise.all([tokens, lengths, finished, current, positions].map((t) => engine.readU32(t)))).map(
        (x) => [...x],
      );

    engine.advance(tokens, lengths, finished, current, positions, upload([5, 2, 6]), eos);
    expect(await state()).toEqual([
      [1, 5, 0, 1, 2, 0, 1, 1, 6],
      [2, 2, 3],
      [0, 1, 1],
      [5, 2, 6],
      [1, 1, 2],
    ]);
    engine.advance(tokens, lengths, finished, current, positions, upload([7, 7, 7]), eos);
    expect(await state()).toEqual([
      [1, 5, 7, 1, 2, 0, 1, 1, 6],
      [3, 2, 3],
      [1, 1, 1],
      [7, 2, 6],
      [2, 1, 2],
    ]);
    engine.destroy();
  });
});

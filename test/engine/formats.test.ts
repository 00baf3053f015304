import { afterAll, describe, expect, test } from 'vitest';
import type { Engine, Tensor } from '../../src/engine/engine.ts';
import { NF4_VALUES, storedBytes, type WeightFormat } from '../../src/engine/formats.ts';
import { quantize } from '../../src/engine/quantize.ts';
import { brainHalfValue, decodeWeights, halfValue } from '../support/weight_formats.ts';
import { Inputs } from './inputs.ts';
import { differences, engineVariants, expectClose } from './support.ts';
import { openEngine } from './variants.ts';

const FORMATS: readonly WeightFormat[] = ['f16', 'bf16', 'nf4'];

/** Every finite number of 16 bits in a format, in order. */
function finite(decode: (bits: number) => number): number[] {
  const values = Array.from({ length: 0x10000 }, (_, bits) => decode(bits));
  return values.filter(Number.isFinite).sort((a, b) => a - b);
}

describe('quantize', () => {
  test.each([
    ['f16', halfValue],
    ['bf16', brainHalfValue],
  ] as const)('gives each value of %s back, and the nearest for others, ties to even', (format, decode) => {
    const grid = finite(decode);
    const bits = (values: number[]) => new Uint16Array(quantize(Float32Array.from(values), format).buffer);
    const back = (values: number[]) => Array.from(bits(values), decode);
    expect(back(grid)).toEqual(grid);
    // Between two neighbours: a tie, and just beside it.
    for (let i = 0; i + 1 < grid.length; i += 37) {
      const [low, high] = [grid[i], grid[i + 1]];
      const middle = (low + high) / 2;
      if (Math.fround(middle) !== middle || low === high) continue;
      const [tie, below, above] = bits([middle, (low + middle) / 2, (middle + high) / 2]);
      expect(tie & 1, `${middle}`).toBe(0);
      expect([decode(below), decode(above)], `${middle}`).toEqual([low, high]);
    }
    const large = format === 'f16' ? Infinity : decode(bits([1e38])[0]);
    expect(back([1e38, -1e38, Infinity])).toEqual([large, -large, Infinity]);
    expect(back([Number.NaN])).toEqual([Number.NaN]);
  });

  test('nf4 takes the nearest of 16 values of the block, scaled by its largest magnitude', () => {
    const values = new Inputs('nf4').floats(64 * 5 + 7, 0.3);
    values.fill(0, 64, 128);
    const decoded = decodeWeights(quantize(values, 'nf4'), values.length, 'nf4');
    for (let start = 0; start < values.length; start += 64) {
      const block = values.subarray(start, start + 64);
      const largest = Math.max(...block.map(Math.abs));
      block.forEach((value, i) => {
        const errors = Array.from(NF4_VALUES, (each) => Math.abs(each * largest - value));
        expect(Math.abs(decoded[start + i] - value)).toBeLessThanOrEqual(Math.min(...errors) + 1e-7);
      });
    }
    expect(Math.max(...decoded.subarray(64, 128))).toBe(0);
    expect(quantize(values, 'nf4').length).toBe(6 * 36);
  });
});

/** Sizes [m, n, k] of x · Wᵀ with W `[n, k]`; the backward form is of dout `[m, n]` · W. */
const SIZES = [
  [1, 1, 1],
  [3, 5, 7],
  [1, 64, 64],
  [9, 172, 64],
  [33, 20, 300],
  [5, 64, 172],
  [70, 204, 36],
  [12, 9, 1000],
] as const;

describe.each(engineVariants)('weights in a format, %s', (variant) => {
  const opened: Promise<Engine> = openEngine(variant);
  afterAll(async () => (await opened).destroy());

  function weightsOf(engine: Engine, shape: number[], format: WeightFormat) {
    const length = shape.reduce((a, b) => a * b, 1);
    const values = new Inputs(`weights ${shape}`).floats(length, 0.1);
    // Numbers below the normal ones of half precision.
    for (let i = 0; i < length; i += 9) values[i] *= 1e-5;
    const bytes = quantize(values, format);
    const decoded = decodeWeights(bytes, length, format);
    return {
      frozen: engine.uploadWeights(bytes, shape, format),
      plain: engine.upload(decoded, shape),
      decoded,
    };
  }

  describe.each(FORMATS)('%s', (format) => {
    test.each(SIZES)('products of %i × %i × %i have the bits of those with the f32', async (m, n, k) => {
      const engine = await opened;
      const inputs = new Inputs(`product ${m} ${n} ${k}`);
      const { frozen, plain } = weightsOf(engine, [n, k], format);
      const x = engine.upload(inputs.floats(m * k), [m, k]);
      const dout = engine.upload(inputs.floats(m * n), [m, n]);
      const start = inputs.floats(m * k);
      const results = [frozen, plain].map((weight) => {
        const y = engine.tensor([m, n]);
        const dx = engine.upload(start, [m, k]);
        engine.matmul(y, x, weight, { transposeB: true, scale: 1.5 });
        engine.matmul(dx, dout, weight, { accumulate: true });
        return [y, dx];
      });
      for (const i of [0, 1]) {
        const [actual, expected] = await Promise.all(results.map((each) => engine.read(each[i])));
        expect(actual).toEqual(expected);
        expect(expected.some((value) => value !== 0)).toBe(true);
      }
    });

    test.each([
      [11, 13],
      [40, 172],
      [7, 64],
    ])('an embedding of %i × %i has the bits of the f32', async (vocab, d) => {
      const engine = await opened;
      const { frozen, decoded } = weightsOf(engine, [vocab, d], format);
      const ids = [vocab - 1, 0, 5, 5, 2, vocab + 9];
      const out = engine.tensor([ids.length, d]);
      engine.embedding(out, engine.upload(Uint32Array.from(ids), [ids.length]), frozen);
      const expected = ids.flatMap((id) => {
        const row = Math.min(id, vocab - 1);
        return [...decoded.subarray(row * d, (row + 1) * d)];
      });
      expect([...(await engine.read(out))]).toEqual(expected);
    });

    test('a view of some rows is those rows', async () => {
      const engine = await opened;
      const { frozen, decoded } = weightsOf(engine, [48, 12], format);
      const rows = engine.view(frozen, 16 * 12, [20, 12]);
      const one = engine.upload(new Float32Array(12).fill(1), [1, 12]);
      const out = engine.tensor([1, 20]);
      engine.matmul(out, one, rows, { transposeB: true });
      const plain = engine.upload(decoded.slice(16 * 12, 36 * 12), [20, 12]);
      const expected = engine.tensor([1, 20]);
      engine.matmul(expected, one, plain, { transposeB: true });
      expect(await engine.read(out)).toEqual(await engine.read(expected));
      const gathered = engine.tensor([1, 12]);
      engine.embedding(gathered, engine.upload(Uint32Array.of(3), [1]), rows);
      expect(await engine.read(gathered)).toEqual(decoded.slice(19 * 12, 20 * 12));
      expect(() => engine.view(frozen, 12, [1, 12])).toThrow(/multiple of 64/);
    });

    test('the gradient of the input agrees with central differences', async () => {
      const engine = await opened;
      const { frozen, decoded } = weightsOf(engine, [7, 20], format);
      const inputs = new Inputs('gradient');
      const [x, dout] = [inputs.floats(5 * 20), inputs.floats(5 * 7)];
      const dx = engine.tensor([5, 20]);
      engine.matmul(dx, engine.upload(dout, [5, 7]), frozen);
      const given = [
        { data: x, shape: [5, 20] },
        { data: decoded, shape: [7, 20] },
      ];
      const expected = differences(given, 0, [5, 7], dout, (oracle, out, [input, weight]) =>
        oracle.matmul(out, input, weight, { transposeB: true }),
      );
      expectClose(await engine.read(dx), expected, 2e-5, 2e-4);
    });

    test('is refused by what would write to it or read it as f32, and in the wrong size', async () => {
      const engine = await opened;
      const { frozen, plain } = weightsOf(engine, [8, 8], format);
      const refused = (act: (engine: Engine) => unknown) =>
        expect(() => act(engine)).toThrow(/expected .*, got /);
      const out = engine.tensor([8, 8]);
      refused(() => engine.add(out, frozen));
      refused(() => engine.matmul(out, frozen, plain));
      refused(() => engine.matmul(out, plain, frozen, { transposeA: true }));
      refused(() => engine.matmul(frozen, plain, plain));
      refused(() => engine.write(frozen, new Float32Array(64)));
      refused(() => engine.copy(out, frozen));
      refused(() => engine.copy(frozen, out));
      refused(() => engine.zero(frozen));
      refused(() => engine.uploadWeights(new Uint8Array(storedBytes(format, 64) + 1), [8, 8], format));
      await expect(engine.read(frozen as Tensor)).rejects.toThrow(/expected tensor f32/);
    });
  });
});

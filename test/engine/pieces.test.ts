/** Tensors larger than a device binds at once: in pieces, every operation on weights gives the bits it gives whole. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Engine, Tensor } from '../../src/engine/engine.ts';
import type { WeightFormat } from '../../src/engine/formats.ts';
import { pieceLengths } from '../../src/engine/pieces.ts';
import { quantize } from '../../src/engine/quantize.ts';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import type { MatmulVariant } from '../../src/engine/webgpu/matmul.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { Inputs } from './inputs.ts';
import { noGpu } from './support.ts';
import { values } from './values.ts';

/** Bytes that the small device binds. */
const SMALL = 170_000;

test('pieces are whole rows and whole spans, and each fits', () => {
  for (const [rows, width] of [
    [3000, 64],
    [700_000, 1],
    [9000, 33],
    [6049, 96],
  ]) {
    for (const dtype of ['f32', 'f16', 'nf4'] as const) {
      const lengths = pieceLengths([rows, width], dtype, SMALL)!;
      expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(rows * width);
      for (const length of lengths.slice(0, -1)) {
        expect(length % 1024).toBe(0);
        expect(length % (64 * width)).toBe(0);
        expect(length).toBe(lengths[0]);
      }
    }
  }
  expect(pieceLengths([100, 100], 'f32', 40_000)).toEqual([10_000]);
  expect(pieceLengths([100, 100], 'f32', 10_000)).toBeUndefined();
  expect(pieceLengths([100_000], 'f32', 10_000)).toBeUndefined();
});

async function open(description: string, matmul: MatmulVariant, limit?: number): Promise<Engine> {
  const { device } = await requestDevice();
  const limits = limit ? { maxStorageBufferBindingSize: limit, maxBufferSize: limit } : undefined;
  const info = { engine: 'webgpu', vendor: '', device: '', description };
  return createWebGpuEngine(device, info, { matmul, limits });
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Uint32Array) =>
  Buffer.from(buffer, byteOffset, byteLength);

type Program = (engine: Engine, inputs: Inputs) => Tensor[];

/** Sizes [rows of the table, its width, rows of the other operand, which is bound whole]: one for each kernel. */
type Sizes = readonly [rows: number, width: number, m: number];
const SIZES: readonly Sizes[] = [
  [640, 160, 64],
  [640, 164, 64],
  [1100, 41, 20],
];

const upload = (engine: Engine, inputs: Inputs, ...shape: number[]) =>
  engine.upload(inputs.floats(shape.reduce((product, size) => product * size, 1)), shape);

function products([rows, width, m]: Sizes, format?: WeightFormat): Program {
  return (engine, inputs) => {
    const data = inputs.floats(rows * width);
    const table = format
      ? engine.uploadWeights(quantize(data, format), [rows, width], format)
      : engine.upload(data, [rows, width]);
    const x = upload(engine, inputs, m, width);
    const dout = upload(engine, inputs, m, rows);
    const [y, dx] = [upload(engine, inputs, m, rows), upload(engine, inputs, m, width)];
    engine.matmul(y, x, table, { transposeB: true, scale: 0.7, accumulate: true });
    engine.matmul(dx, dout, table, { scale: 0.7, accumulate: true });
    const plain = engine.tensor([m, width]);
    engine.matmul(plain, dout, table);
    const found = engine.tensor([5, width]);
    engine.embedding(found, engine.upload(Uint32Array.of(0, rows - 1, 300, 5000, 511), [5]), table);
    return [y, dx, plain, found];
  };
}

function gradients([rows, width, m]: Sizes): Program {
  return (engine, inputs) => {
    const dout = upload(engine, inputs, m, rows);
    const x = upload(engine, inputs, m, width);
    const table = upload(engine, inputs, rows, width);
    engine.matmul(table, dout, x, { transposeA: true, accumulate: true });
    const low = upload(engine, inputs, rows, 8);
    engine.matmul(table, low, upload(engine, inputs, 8, width), { scale: 2, accumulate: true });
    const lists = [
      Uint32Array.of(rows - 1, 3, 512),
      Uint32Array.of(0, 2, 3, 6),
      Uint32Array.of(1, 5, 2, 0, 9, 4),
    ];
    const [ids, starts, places] = lists.map((list) => engine.upload(list, [list.length]));
    engine.scatterRows(table, x, ids, starts, places);
    const squares = engine.tensor([1]);
    engine.sumSquares(squares, table);
    const moments = [engine.tensor([rows, width]), engine.tensor([rows, width])];
    const param = upload(engine, inputs, rows, width);
    const options = {
      learningRate: 1e-2,
      beta1: 0.9,
      beta2: 0.99,
      epsilon: 1e-8,
      weightDecay: 0.1,
      biasCorrection1: 0.1,
      biasCorrection2: 0.01,
      maxGradNorm: 1,
    };
    engine.adamw(param, table, moments[0], moments[1], squares, options);
    return [table, squares, param, ...moments];
  };
}

const ROWS = 640;
const WIDTH = 160;
const memory: Program = (engine, inputs) => {
  const table = upload(engine, inputs, ROWS, WIDTH);
  const copy = engine.tensor([ROWS, WIDTH]);
  engine.copy(copy, table);
  // Of one piece, and across the edge of two.
  const inside = engine.view(table, 20 * WIDTH, [100, WIDTH]);
  const across = engine.view(table, 200 * WIDTH, [100, WIDTH]);
  const [y, z] = [engine.tensor([9, 100]), engine.tensor([9, 100])];
  const x = upload(engine, inputs, 9, WIDTH);
  engine.matmul(y, x, inside, { transposeB: true });
  engine.matmul(z, x, across, { transposeB: true });
  engine.zero(engine.view(copy, 500 * WIDTH, [40, WIDTH]));
  const narrow = engine.tensor([100, WIDTH]);
  engine.copy(narrow, across);
  engine.write(engine.view(copy, 240 * WIDTH, [100, WIDTH]), inputs.floats(100 * WIDTH));
  const zeros = engine.tensor([ROWS, WIDTH]);
  engine.copy(zeros, table);
  engine.zero(zeros);
  engine.free(table);
  const again = engine.tensor([ROWS, WIDTH]);
  return [copy, y, z, narrow, zeros, again];
};

const programs: [string, Program][] = [
  ['memory', memory],
  ...SIZES.flatMap((sizes): [string, Program][] => [
    [`products of ${sizes}`, products(sizes)],
    [`gradients of ${sizes}`, gradients(sizes)],
  ]),
  ['products with f16 of odd width', products([5000, 41, 8], 'f16')],
  ['products with nf4', products([640, 512, 64], 'nf4')],
];

const devices = [
  ['SwiftShader', 'registers'],
  ['a GPU', 'shared'],
] as const;

describe.skipIf(noGpu).each(devices)('on %s, %s', (description, matmul) => {
  let engines: Engine[];
  beforeAll(async () => {
    engines = [await open(description, matmul), await open(description, matmul, SMALL)];
  });
  afterAll(() => {
    for (const each of engines) each.destroy();
  });

  test.each(programs)('%s', async (name, program) => {
    const results: (Float32Array | Uint32Array)[][] = [];
    for (const engine of engines) {
      const tensors = program(engine, new Inputs(name));
      results.push(await Promise.all(tensors.map((tensor) => values(engine, tensor))));
      engine.free(...tensors);
    }
    results[1].forEach((tensor, i) => {
      expect(Buffer.compare(bytesOf(tensor), bytesOf(results[0][i])), `tensor ${i}`).toBe(0);
    });
    expect(results[0].some((tensor) => tensor.some((value) => value !== 0))).toBe(true);
  });
});

describe.skipIf(noGpu)('a small device', () => {
  test('refuses activations that it does not bind, by their size', async () => {
    const engine = await open('SwiftShader', 'registers', SMALL);
    const wide = engine.tensor([ROWS, 160]);
    const norm = engine.tensor([160]);
    expect(() => engine.rmsnorm(engine.tensor([ROWS, 160]), wide, norm, 1e-5)).toThrow(
      'tensor: expected at most as many bytes as this GPU driver binds at once, got 409600 for [640, 160]',
    );
    expect(() => engine.view(wide, 160 * 2, [638, 160])).toThrow('to be cut at every fourth of its rows');
    engine.destroy();
  });

  test("with WebGPU's portable limits holds and reads a table of 150 MiB", async () => {
    // Names the driver to this host.
    (await requestDevice()).device.destroy();
    const device = await (await navigator.gpu.requestAdapter())!.requestDevice();
    expect(device.limits.maxStorageBufferBindingSize).toBe(2 ** 27);
    const engine = createWebGpuEngine(device, {
      engine: 'webgpu',
      vendor: '',
      device: '',
      description: 'SwiftShader',
    });
    const [rows, width] = [60_000, 656];
    const data = Float32Array.from({ length: rows * width }, (_, i) => (i % 8191) / 8191);
    const table = engine.upload(data, [rows, width]);
    const ids = Uint32Array.of(3, 59_999, 51_000, 52_000);
    const out = engine.tensor([4, width]);
    engine.embedding(out, engine.upload(ids, [4]), table);
    const found = await engine.read(out);
    ids.forEach((id, row) => {
      const expected = data.subarray(id * width, (id + 1) * width);
      expect(found.subarray(row * width, (row + 1) * width)).toEqual(expected);
    });
    engine.destroy();
  });
});

import { afterAll, describe, expect, test } from 'vitest';
import type { Engine, Tensor } from '../../src/engine/engine.ts';
import { createWebGpuEngine } from '../../src/engine/webgpu/engine.ts';
import { bucketSize } from '../../src/engine/webgpu/memory.ts';
import { requestDevice } from '../../src/host/gpu.ts';
import { engines, noGpu } from './support.ts';
import { openEngine } from './variants.ts';

test('pool buckets hold what is asked for and waste at most a quarter', () => {
  for (const bytes of [0, 1, 256, 257, 1000, 4096, 5000, 123_457, 2 ** 20 + 4, 3 * 2 ** 27]) {
    const size = bucketSize(bytes);
    expect(size % 256).toBe(0);
    expect(size).toBeGreaterThanOrEqual(bytes);
    expect(size).toBeLessThanOrEqual(Math.max(bytes * 1.25 + 4, bytes + 256));
  }
});

describe.each(engines)('memory, %s', (name) => {
  const opened: Promise<Engine> = openEngine(name);
  afterAll(async () => (await opened).destroy());
  const floats = (...values: number[]) => Float32Array.from(values);

  test('a new tensor is zero, also where its memory held something before', async () => {
    const engine = await opened;
    for (let round = 0; round < 3; round++) {
      const tensor = engine.tensor([100]);
      expect((await engine.read(tensor)).every((x) => x === 0)).toBe(true);
      engine.write(tensor, new Float32Array(100).fill(7));
      engine.free(tensor);
    }
  });

  test('operations that add to a recycled tensor add to zeros', async () => {
    const engine = await opened;
    const one = engine.upload(floats(1), [1, 1]);
    for (const act of ['add', 'matmul', 'view', 'write to a view'] as const) {
      const used = engine.upload(new Float32Array(100).fill(5), [100]);
      engine.free(used);
      const tensor = engine.tensor([100]);
      if (act === 'add') engine.add(tensor, engine.upload(new Float32Array(100).fill(1), [100]));
      if (act === 'matmul') engine.matmul(engine.view(tensor, 64, [1, 1]), one, one, { accumulate: true });
      if (act === 'view') engine.add(engine.view(tensor, 64, [1, 1]), one);
      if (act === 'write to a view') engine.write(engine.view(tensor, 64, [1]), floats(1));
      const expected = new Float32Array(100).fill(act === 'add' ? 1 : 0);
      expected[64] = 1;
      expect(await engine.read(tensor)).toEqual(expected);
      engine.free(tensor);
    }
  });

  test('writes, operations, copies and reads take effect in program order', async () => {
    const engine = await opened;
    const x = engine.upload(floats(1, 2), [2]);
    const sum = engine.tensor([2]);
    engine.add(sum, x);
    engine.write(x, floats(10, 20));
    const first = engine.read(sum);
    engine.add(sum, x);
    const second = engine.read(sum);
    engine.copy(x, sum);
    engine.zero(sum);
    engine.add(sum, x);
    engine.add(sum, x);
    const third = engine.read(sum);
    expect((await Promise.all([first, second, third])).map((values) => [...values])).toEqual([
      [1, 2],
      [11, 22],
      [22, 44],
    ]);
  });

  test('a freed tensor keeps its last operations, though its memory is used again at once', async () => {
    const engine = await opened;
    const sum = engine.tensor([4]);
    for (let i = 1; i <= 600; i++) {
      const term = engine.upload(new Float32Array(4).fill(i), [4]);
      engine.add(sum, term);
      engine.free(term);
    }
    expect([...(await engine.read(sum))]).toEqual([180_300, 180_300, 180_300, 180_300]);
  });

  test('views share memory with their tensor and may be inputs beside an output in the same one', async () => {
    const engine = await opened;
    const whole = engine.tensor([192]);
    const [a, b, c] = [0, 64, 128].map((offset) => engine.view(whole, offset, [2, 2]));
    engine.write(a, floats(1, 2, 3, 4));
    engine.write(b, floats(5, 6, 7, 8));
    engine.matmul(c, a, b);
    engine.matmul(a, b, b, { transposeB: true });
    const values = await engine.read(whole);
    expect([...values.slice(128, 132)]).toEqual([19, 22, 43, 50]);
    expect([...values.slice(0, 4)]).toEqual([61, 83, 83, 113]);
    const inner = engine.view(engine.view(whole, 64, [128]), 64, [1, 2]);
    expect([...(await engine.read(inner))]).toEqual([19, 22]);
    engine.copy(engine.view(whole, 0, [4]), b);
    expect([...(await engine.read(a))]).toEqual([5, 6, 7, 8]);
    engine.zero(b);
    expect([...(await engine.read(engine.view(whole, 0, [132]))).slice(62, 132)]).toEqual([
      ...new Array(66).fill(0),
      19,
      22,
      43,
      50,
    ]);
  });

  test('an operation on a view leaves what follows the view alone', async () => {
    const engine = await opened;
    for (const count of [1, 2, 3, 5]) {
      const filled = () => engine.upload(new Float32Array(200).fill(5), [200]);
      const view = (of: Tensor) => engine.view(of, 64, [1, count]);
      const [sum, gate, dgate, dup, x] = Array.from({ length: 5 }, filled);
      engine.add(view(sum), view(x));
      engine.swiglu(view(gate), view(x), view(dup));
      engine.swigluBackward(view(dgate), view(dup), view(x), view(x), view(sum));
      for (const tensor of [sum, gate, dgate, dup]) {
        const values = await engine.read(tensor);
        const changed = [...values.keys()].filter((i) => values[i] !== 5);
        expect(changed).toEqual(Array.from({ length: count }, (_, i) => 64 + i));
      }
    }
  });

  test('attention and its gradient hold no matrix of all queries by all keys', async () => {
    const engine = await openEngine(name);
    const [length, heads, width] = [2048, 2, 8];
    const full = 4 * heads * length ** 2;
    const wide = () => engine.tensor([1, length, heads, width]);
    const [out, q, k, v, dq, dk, dv, dout] = Array.from({ length: 8 }, wide);
    const lse = engine.tensor([1, heads, length]);
    engine.attention(out, lse, q, k, v, 1);
    engine.attentionBackward(dq, dk, dv, dout, q, k, v, out, lse, 1);
    await engine.read(dq);
    expect(engine.memory().peak).toBeLessThan(full / 16);
    engine.destroy();
  });

  test('more than 65535 workgroups', async () => {
    const engine = await opened;
    const length = 65_535 * 64 + 100;
    const x = engine.upload(new Float32Array(length).fill(1.5), [length]);
    engine.add(x, engine.upload(new Float32Array(length).fill(1), [length]));
    const values = await engine.read(x);
    expect(values.every((value) => value === 2.5)).toBe(true);
  });

  test('u32 tensors keep all 32 bits', async () => {
    const engine = await opened;
    const tensor = engine.upload(Uint32Array.of(0xffffffff, 0x80000000, 1), [3]);
    expect([...(await engine.readU32(tensor))]).toEqual([0xffffffff, 0x80000000, 1]);
  });

  test('what does not fit is refused by name', async () => {
    const engine = await opened;
    const f = (...shape: number[]) => engine.tensor(shape);
    const u = (...shape: number[]) => engine.tensor(shape, 'u32');
    const freed = f(2);
    engine.free(freed);
    const cases: [() => void, string][] = [
      [() => engine.matmul(f(2, 3), f(2, 4), f(5, 3)), 'matmul: expected b f32 [4, 3], got f32 [5, 3]'],
      [() => engine.matmul(f(2, 3), f(2, 4), f(4)), 'matmul: expected b f32 [k, n], got f32 [4]'],
      [() => engine.rmsnorm(f(2, 3), f(2, 3), f(4), 1e-5), 'rmsnorm: expected weight f32 [3], got f32 [4]'],
      [() => engine.embedding(f(2, 3), f(2), f(9, 3)), 'embedding: expected ids u32 [n], got f32 [2]'],
      [() => engine.add(f(2), freed), 'add: expected x to be live, got a freed tensor'],
      [() => engine.free(freed), 'free: expected tensor to be live, got a freed tensor'],
      [() => engine.free(engine.view(f(70), 64, [2])), 'free: expected a tensor, got a view'],
      [() => engine.view(f(70), 3, [2]), 'view: expected an offset that is a multiple of 64'],
      [() => engine.view(f(70), 64, [7]), 'view: expected an offset that is a multiple of 64'],
      [() => engine.write(f(3), floats(1)), 'write: expected 3 values of f32, got 1 of f32'],
      [() => engine.upload(floats(1), [2]), 'upload: expected 2 values of f32, got 1 of f32'],
      [() => engine.copy(f(2), u(2)), 'copy: expected source with 2 values of f32, got 2 of u32'],
      [() => engine.rope(f(1, 1, 3), f(4, 1), f(4, 1), u(1)), 'rope: expected an even head_dim, got 3'],
      [
        () => engine.attention(f(1, 2, 3, 4), f(1, 3, 2), f(1, 2, 3, 4), f(1, 2, 2, 4), f(1, 2, 2, 4), 1),
        'attention: expected heads a multiple of 2, got 3',
      ],
      [() => engine.tensor([2 ** 34]), 'tensor: expected at most'],
    ];
    for (const [act, message] of cases) expect(act).toThrow(message);
    await expect(engine.read(u(2))).rejects.toThrow('read: expected tensor f32, got u32 [2]');
    await expect(engine.readU32(f(2))).rejects.toThrow('readU32: expected a u32 tensor, got f32');
  });

  test('an engine that was destroyed refuses work and rejects reads under way', async () => {
    const engine = await openEngine(name);
    const tensor = engine.tensor([2]);
    const reading = engine.read(tensor);
    engine.destroy();
    engine.destroy();
    await expect(reading).rejects.toThrow('The engine was destroyed');
    expect(() => engine.add(tensor, tensor)).toThrow('The engine was destroyed');
    await expect(engine.read(tensor)).rejects.toThrow('The engine was destroyed');
  });
});

test.skipIf(noGpu)('an error the device reports, or its loss, rejects the next read', async () => {
  const { device, info } = await requestDevice();
  const engine = createWebGpuEngine(device, info);
  const one = Float32Array.of(1);
  const tensor = engine.upload(one, [1]);
  expect(await engine.read(tensor)).toEqual(one);
  device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
  await expect(engine.read(tensor)).rejects.toThrow('The GPU reported an error: ');

  const second = await requestDevice();
  const other = createWebGpuEngine(second.device, second.info);
  const lost = other.upload(one, [1]);
  second.device.destroy();
  await second.device.lost;
  await expect(other.read(lost)).rejects.toThrow('The GPU device was lost (');
  engine.destroy();
});

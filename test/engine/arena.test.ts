import { expect, test } from 'vitest';
import { Arena } from '../../src/engine/cpu/memory.ts';
import { UserError } from '../../src/errors.ts';
import { Random } from '../../src/random.ts';

const PAGE = 65_536;

function arena(maximum = 1000): Arena {
  return new Arena(new WebAssembly.Memory({ initial: 1, maximum }), 1000);
}

test('ranges in use never overlap, and start where views may', () => {
  const [given, random] = [arena(), new Random([1, 1])];
  const live = new Map<number, number>();
  for (let round = 0; round < 3000; round++) {
    if (live.size > 0 && random.uniform() < 0.48) {
      const start = [...live.keys()][random.below(live.size)];
      given.release(start);
      live.delete(start);
      continue;
    }
    const bytes = random.below(20_000);
    const start = given.allocate(bytes);
    expect(start % 256).toBe(0);
    expect(start).toBeGreaterThanOrEqual(1000);
    expect(start + bytes).toBeLessThan(given.memory.buffer.byteLength);
    for (const [other, size] of live) {
      if (start < other + size && other < start + bytes) throw new Error(`${start} overlaps ${other}`);
    }
    live.set(start, bytes);
  }
});

test('what is given back is used again, whole', () => {
  const given = arena();
  const starts = Array.from({ length: 20 }, () => given.allocate(10_000));
  for (const order of [(i: number) => i, (i: number) => (i * 7) % 20, (i: number) => 19 - i]) {
    const before = given.memory.buffer.byteLength;
    for (let i = 0; i < 20; i++) given.release(starts[order(i)]);
    const whole = given.allocate(20 * 10_000);
    expect(whole).toBe(Math.min(...starts));
    given.release(whole);
    for (let i = 0; i < 20; i++) starts[i] = given.allocate(10_000);
    expect(given.memory.buffer.byteLength).toBe(before);
  }
});

test('memory that cannot grow is refused in words, and what there is stays usable', () => {
  const given = arena(2);
  expect(() => given.allocate(3 * PAGE)).toThrow(UserError);
  expect(() => given.allocate(3 * PAGE)).toThrow('which this host does not have');
  expect(() => given.allocate(2 ** 33)).toThrow('more than the 4 GiB that Wasm addresses');
  expect(given.allocate(PAGE)).toBe(1024);
});

import { describe, expect, it } from 'vitest';
import { keyOf, philox, Random } from '../src/random.ts';

const hex = (words: readonly number[]) => words.map((word) => word.toString(16).padStart(8, '0')).join(' ');

describe('philox', () => {
  // Known answers of Random123, the reference implementation (philox4x32-10).
  it.each([
    [[0, 0], [0, 0, 0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      '408f276d 41c83b0e a20bc7c6 6d5451fd',
    ],
    [
      [0xa4093822, 0x299f31d0],
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    ],
  ] as const)('gives the known answer for key %j', (key, counter, answer) => {
    expect(hex(philox(key, counter))).toBe(answer);
  });
});

describe('Random', () => {
  it('repeats for a seed and purpose, and differs for others', () => {
    const words = (seed: number, purpose: string, stream = 0) => {
      const random = new Random(keyOf(seed, purpose), stream);
      return Array.from({ length: 6 }, () => random.word()).join();
    };
    expect(words(1, 'labels')).toBe(words(1, 'labels'));
    const others = [
      words(2, 'labels'),
      words(1, 'split'),
      words(1, 'labels', 1),
      words(1 + 2 ** 32, 'labels'),
    ];
    expect(new Set([words(1, 'labels'), ...others]).size).toBe(5);
  });

  it('draws uniformly: chi-square of 10 bins below the 99.99 % point', () => {
    const random = new Random(keyOf(7, 'test'));
    const bins = new Array(10).fill(0);
    for (let i = 0; i < 10_000; i++) bins[Math.floor(random.uniform() * 10)]++;
    expect(bins.reduce((sum, bin) => sum + (bin - 1000) ** 2 / 1000, 0)).toBeLessThan(33.72);
    const faces = new Array(6).fill(0);
    for (let i = 0; i < 6000; i++) faces[random.below(6)]++;
    expect(faces.reduce((sum, face) => sum + (face - 1000) ** 2 / 1000, 0)).toBeLessThan(25.74);
  });

  it('shuffles without losing items', () => {
    const items = Array.from({ length: 100 }, (_, index) => index);
    const shuffled = new Random(keyOf(3, 'test')).shuffle([...items]);
    expect(shuffled).not.toEqual(items);
    expect(shuffled.sort((a, b) => a - b)).toEqual(items);
  });

  it('refuses seeds that are not whole numbers', () => {
    expect(() => keyOf(-1, 'x')).toThrow('seed: expected an integer');
    expect(() => keyOf(0.5, 'x')).toThrow('seed: expected an integer');
  });
});

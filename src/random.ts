/**
 * Counter-based randomness (Philox4x32-10; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * A value depends only on the seed, a purpose label and its counter: never on the host, on order or on batching.
 * shaders/sample.wgsl holds the same function.
 */
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** Key of the counter-based generator: two 32-bit words, of a seed and a purpose. */
export type Key = readonly [number, number];
export type Words = [number, number, number, number];

/** High 32 bits of the unsigned 64-bit product. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000)) >>> 0;
}

/** Four 32-bit words at `counter` under `key`. */
export function philox(key: Key, counter: Readonly<Words>): Words {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = mulHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    const high1 = mulHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** The key of one purpose ("sample", "labels", …) under a seed: FNV-1a of the label in the second word. */
export function keyOf(seed: number, purpose: string): Key {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new Error(`seed: expected an integer from 0 to 2^53 - 1, got ${seed}`);
  }
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(`${purpose}\0${Math.floor(seed / 0x100000000)}`)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return [seed >>> 0, hash];
}

/** A sequential reader of one stream of a key: counters (stream, 0, 0, 0), (stream, 0, 1, 0), … */
export class Random {
  #key: Key;
  #stream: number;
  #block = 0;
  #words: number[] = [];

  constructor(key: Key, stream = 0) {
    this.#key = key;
    this.#stream = stream;
  }

  /** The next 32-bit word. */
  word(): number {
    if (this.#words.length === 0)
      this.#words = philox(this.#key, [this.#stream, 0, this.#block++, 0]).reverse();
    return this.#words.pop()!;
  }

  /** Uniform in [0, 1) with 53 bits. */
  uniform(): number {
    return ((this.word() >>> 5) * 0x4000000 + (this.word() >>> 6)) / 0x20000000000000;
  }

  /** Uniform integer in [0, n), without modulo bias. */
  below(n: number): number {
    const limit = Math.floor(0x100000000 / n) * n;
    let word = this.word();
    while (word >= limit) word = this.word();
    return word % n;
  }

  /** Shuffles in place (Fisher–Yates) and returns the array. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  }
}

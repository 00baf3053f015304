/** Philox4x32-10 (src/random.ts holds the same generator). */

/** The other words of the last call. */
export let word1: u32 = 0;
export let word2: u32 = 0;
export let word3: u32 = 0;

/** First word at a counter under a key. */
export function philox(key0: u32, key1: u32, c0: u32, c1: u32, c2: u32, c3: u32): u32 {
  for (let round = 0; round < 10; round++) {
    const p0 = <u64>0xd2511f53 * <u64>c0;
    const p1 = <u64>0xcd9e8d57 * <u64>c2;
    c0 = <u32>(p1 >> 32) ^ c1 ^ key0;
    c1 = <u32>p1;
    c2 = <u32>(p0 >> 32) ^ c3 ^ key1;
    c3 = <u32>p0;
    key0 += 0x9e3779b9;
    key1 += 0xbb67ae85;
  }
  word1 = c1;
  word2 = c2;
  word3 = c3;
  return c0;
}

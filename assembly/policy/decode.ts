/** Frozen weights in fewer bits than f32 (src/engine/formats.ts), turned into the f32 that kernels compute with. */

/** How a matrix is stored; src/engine/cpu/formats.ts holds the same numbers. */
export const F32: i32 = 0;
export const F16: i32 = 1;
export const BF16: i32 = 2;
export const NF4: i32 = 3;

/** Bytes before and after its values that `decode` may overwrite. */
export const DECODE_SLACK: usize = 64;

/** The bytes of a block of NF4, and where its scale is. */
const NF4_BYTES: usize = 36;
const NF4_SCALE: usize = 32;

// The 16 values of NF4 as tables of their bytes, lowest first.
const NF4_TABLES: usize = memory.data<u8>([
  0x00, 0xb1, 0x30, 0xa0, 0x4d, 0x3f, 0x71, 0x00, 0xff, 0xe3, 0xdd, 0x3a, 0xb8, 0xab, 0xb3, 0x00,
  0x00, 0x39, 0x6b, 0x32, 0xa2, 0x35, 0x78, 0x00, 0xfa, 0xca, 0x04, 0x03, 0xa4, 0x07, 0x13, 0x00,
  0x80, 0x32, 0x06, 0xca, 0x91, 0x3d, 0xba, 0x00, 0xa2, 0x24, 0x7c, 0xad, 0xe1, 0x10, 0x39, 0x80,
  0xbf, 0xbf, 0xbf, 0xbe, 0xbe, 0xbe, 0xbd, 0x00, 0x3d, 0x3e, 0x3e, 0x3e, 0x3e, 0x3f, 0x3f, 0x3f,
]);

// Vectors in memory and not splats: V8 rebuilds an inline v128 constant at each use.
const HALVES: usize = memory.data<u32>([
  0x8fffe000, 0x8fffe000, 0x8fffe000, 0x8fffe000, // a half's bits at their place in an f32
  0x77800000, 0x77800000, 0x77800000, 0x77800000, // 2^112, by which the exponent's bias falls short
  0x47800000, 0x47800000, 0x47800000, 0x47800000, // 65536, what an infinity of 16 bits would come to
  0x7f800000, 0x7f800000, 0x7f800000, 0x7f800000, // infinity
]);

/** Four values of f16. */
// @ts-ignore: decorator
@inline export function halves4(from: usize): v128 {
  const bits = v128.and(i32x4.shl(v128.load16x4_s(from), 13), v128.load(HALVES));
  const value = f32x4.mul(bits, v128.load(HALVES, 16));
  const special = v128.and(f32x4.ge(f32x4.abs(value), v128.load(HALVES, 32)), v128.load(HALVES, 48));
  return v128.or(value, special);
}

/** Four values of bf16. */
// @ts-ignore: decorator
@inline export function brainHalves4(from: usize): v128 {
  return i32x4.shl(v128.load16x4_u(from), 16);
}

/** Bytes of `count` values of a format that stores them one by one. */
// @ts-ignore: decorator
@inline export function bytesOfValues(count: i32, format: i32): usize {
  return (<usize>count) << (format == F32 ? 2 : 1);
}

/** Whole groups of 16 values, from the group of value `start` on, which lands at `to`. */
function decodeNf4(to: usize, from: usize, start: i32, count: i32): void {
  const t0 = v128.load(NF4_TABLES);
  const t1 = v128.load(NF4_TABLES, 16);
  const t2 = v128.load(NF4_TABLES, 32);
  const t3 = v128.load(NF4_TABLES, 48);
  const mask = i8x16.splat(15);
  to -= (<usize>(start & 15)) << 2;
  const end = (start + count + 15) >> 4;
  for (let group = start >> 4; group < end; group++) {
    const block = from + <usize>(group >> 2) * NF4_BYTES;
    const scale = v128.load32_splat(block, NF4_SCALE);
    const pairs = v128.load64_zero(block + ((<usize>(group & 3)) << 3));
    const first = v128.and(pairs, mask);
    const second = i8x16.shr_u(pairs, 4);
    const codes = v128.shuffle<u8>(first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const b0 = i8x16.swizzle(t0, codes);
    const b1 = i8x16.swizzle(t1, codes);
    const b2 = i8x16.swizzle(t2, codes);
    const b3 = i8x16.swizzle(t3, codes);
    const l0 = v128.shuffle<u8>(b0, b1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const l1 = v128.shuffle<u8>(b0, b1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const h0 = v128.shuffle<u8>(b2, b3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const h1 = v128.shuffle<u8>(b2, b3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    v128.store(to, f32x4.mul(v128.shuffle<u16>(l0, h0, 0, 8, 1, 9, 2, 10, 3, 11), scale));
    v128.store(to, f32x4.mul(v128.shuffle<u16>(l0, h0, 4, 12, 5, 13, 6, 14, 7, 15), scale), 16);
    v128.store(to, f32x4.mul(v128.shuffle<u16>(l1, h1, 0, 8, 1, 9, 2, 10, 3, 11), scale), 32);
    v128.store(to, f32x4.mul(v128.shuffle<u16>(l1, h1, 4, 12, 5, 13, 6, 14, 7, 15), scale), 48);
    to += 64;
  }
}

/** to `[count]` = the values of weights at `from` from the `start`-th on. `format` is not F32. */
export function decode(to: usize, from: usize, format: i32, start: i32, count: i32): void {
  if (format == NF4) {
    decodeNf4(to, from, start, count);
    return;
  }
  from += bytesOfValues(start, format);
  const end = to + bytesOfValues(count, F32);
  if (format == F16) for (; to < end; to += 16, from += 8) v128.store(to, halves4(from));
  else for (; to < end; to += 16, from += 8) v128.store(to, brainHalves4(from));
}

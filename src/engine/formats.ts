/**
 * How frozen weights are stored on a device: in fewer bits than the f32 they are read as. Values are row-major.
 * - f16, bf16: IEEE half precision and the upper half of an f32, little-endian.
 * - nf4: 4-bit NormalFloat (QLoRA, Dettmers et al. 2023, section 3) in blocks of 64 values, whatever the rows: 32 bytes of
 *   codes, the first value in the low half of the first byte, and the block's largest magnitude as f32.
 */
export type WeightFormat = 'f16' | 'bf16' | 'nf4';

/** Values to a block of nf4, as in QLoRA. */
export const NF4_BLOCK = 64;
export const NF4_BLOCK_BYTES = 36;

/** Appendix E of QLoRA: quantiles of the normal distribution, scaled to [−1, 1], with an exact zero. */
export const NF4_VALUES = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);

/** Bytes of `length` values. */
export function storedBytes(format: 'f32' | 'u32' | WeightFormat, length: number): number {
  if (format === 'nf4') return Math.ceil(length / NF4_BLOCK) * NF4_BLOCK_BYTES;
  return length * (format === 'f16' || format === 'bf16' ? 2 : 4);
}

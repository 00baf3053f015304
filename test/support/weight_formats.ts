/** Plain decoders of the storage formats, number by number from their definitions: the oracle of every kernel's own. */
import type { WeightFormat } from '../../src/engine/formats.ts';

/** QLoRA, appendix E. */
const NORMAL_FLOATS = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
];

export function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

export function brainHalfValue(bits: number): number {
  return new Float32Array(Uint32Array.of(bits * 65536).buffer)[0];
}

/** The f32 that weights stand for. */
export function decodeWeights(bytes: Uint8Array, length: number, format: WeightFormat): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length }, (_, i) => {
    if (format === 'f16') return halfValue(view.getUint16(2 * i, true));
    if (format === 'bf16') return brainHalfValue(view.getUint16(2 * i, true));
    const block = Math.floor(i / 64) * 36;
    const pair = bytes[block + ((i % 64) >> 1)];
    const code = i % 2 === 0 ? pair % 16 : pair >> 4;
    return Math.fround(Math.fround(NORMAL_FLOATS[code]) * view.getFloat32(block + 32, true));
  });
}

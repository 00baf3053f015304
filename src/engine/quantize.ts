/** f32 to the formats of frozen weights. Arithmetic that rounds alike on every host: so do the bytes. */
import { NF4_BLOCK, NF4_BLOCK_BYTES, NF4_VALUES, storedBytes, type WeightFormat } from './formats.ts';

/** The bytes of `values` in a format, each value rounded to the nearest that it holds. */
export function quantize(values: Float32Array, format: WeightFormat): Uint8Array {
  if (format === 'nf4') return toNf4(values);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  const round = format === 'f16' ? toHalf : toBrainHalf;
  for (let i = 0; i < bits.length; i++) halves[i] = round(bits[i]);
  return new Uint8Array(halves.buffer);
}

/** Ties go to the even neighbour; a NaN stays one. */
function toBrainHalf(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** Ties go to the even neighbour; what is too large becomes infinite. */
function toHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    // Where rounding carries into the exponent, the sum is the next power of two, or infinity.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  // Subnormal: a multiple of 2⁻²⁴.
  const exponent = magnitude >>> 23;
  if (exponent < 102) return sign;
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - exponent;
  const rest = fraction & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  const whole = fraction >>> shift;
  return sign | (whole + Number(rest > half || (rest === half && (whole & 1) === 1)));
}

/** Half-way between neighbours: a value above the i-th takes a code above i. */
const MIDPOINTS = NF4_VALUES.slice(1).map((value, i) => (value + NF4_VALUES[i]) / 2);

/** A block-wise absmax quantization, as bitsandbytes does it: scaled by the reciprocal of the largest magnitude. */
function toNf4(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(storedBytes('nf4', values.length));
  const scales = new DataView(bytes.buffer);
  for (let start = 0, at = 0; start < values.length; start += NF4_BLOCK, at += NF4_BLOCK_BYTES) {
    const end = Math.min(start + NF4_BLOCK, values.length);
    let largest = 0;
    for (let i = start; i < end; i++) largest = Math.max(largest, Math.abs(values[i]));
    const inverse = largest > 0 ? Math.fround(1 / largest) : 0;
    scales.setFloat32(at + NF4_BLOCK_BYTES - 4, largest, true);
    for (let i = start; i < end; i++) {
      const code = nf4Code(Math.fround(values[i] * inverse));
      const place = i - start;
      bytes[at + (place >> 1)] |= code << ((place & 1) * 4);
    }
  }
  return bytes;
}

function nf4Code(value: number): number {
  let code = value > MIDPOINTS[7] ? 8 : 0;
  if (value > MIDPOINTS[code + 3]) code += 4;
  if (value > MIDPOINTS[code + 1]) code += 2;
  return value > MIDPOINTS[code] ? code + 1 : code;
}

/** f32 to the formats of frozen weights. Arithmetic that rounds alike on every host: so do the bytes. */
import { NF4_BLOCK, NF4_BLOCK_BYTES, NF4_VALUES, storedBytes, type WeightFormat } from './formats.ts';

/** The bytes of `values` in a format, each value rounded to the nearest that it holds. */
export function quantize(values: Float32Array, format: WeightFormat): Uint8Array {
  if (format === 'nf4') return toNf4(values);
  // Signed: V8 computes on them as they are.
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  if (format === 'f16') for (let i = 0; i < bits.length; i++) halves[i] = toHalf(bits[i]);
  else for (let i = 0; i < bits.length; i++) halves[i] = toBrainHalf(bits[i]);
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
  if (magnitude >= 0x38800000 && magnitude < 0x47800000) {
    // Where rounding carries into the exponent, the sum is the next power of two, or infinity.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  return sign | (magnitude >= 0x47800000 ? 0x7c00 : toSubnormalHalf(magnitude));
}

/** A multiple of 2⁻²⁴. */
function toSubnormalHalf(magnitude: number): number {
  const exponent = magnitude >>> 23;
  if (exponent < 102) return 0;
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - exponent;
  const rest = fraction & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  const whole = fraction >>> shift;
  return whole + Number(rest > half || (rest === half && (whole & 1) === 1));
}

/** Half-way between neighbours: a value above the i-th takes a code above i. */
const MIDPOINTS = NF4_VALUES.slice(1).map((value, i) => (value + NF4_VALUES[i]) / 2);

/** [−1, 1] in cells that are narrower than any two midpoints are apart: each holds one at most. */
const CELLS = 64;
/** The code of a cell's lowest value, and the midpoint above which its values take the next one. */
const CELL_CODES = new Uint8Array(CELLS + 1);
const CELL_MIDPOINTS = new Float32Array(CELLS + 1);
for (let cell = 0; cell <= CELLS; cell++) {
  const low = (2 * cell) / CELLS - 1;
  const code = MIDPOINTS.filter((midpoint) => midpoint < low).length;
  CELL_CODES[cell] = code;
  CELL_MIDPOINTS[cell] = MIDPOINTS[code] ?? Infinity;
}

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
    let place = at;
    let i = start;
    for (; i + 1 < end; i += 2) {
      bytes[place++] = nf4Code(values[i] * inverse) | (nf4Code(values[i + 1] * inverse) << 4);
    }
    if (i < end) bytes[place] = nf4Code(values[i] * inverse);
  }
  return bytes;
}

function nf4Code(scaled: number): number {
  const value = Math.fround(scaled);
  const cell = ((value + 1) * (CELLS / 2)) | 0;
  return CELL_CODES[cell] + (value > CELL_MIDPOINTS[cell] ? 1 : 0);
}

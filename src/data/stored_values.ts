import type { ByteStream } from './byte_stream.ts';
import { joined } from './byte_stream.ts';
import { toFloats } from './safetensors.ts';
import { DTYPE_BYTES, type SafeTensorDtype } from './safetensors_header.ts';

/** An array of a file: row-major values, in the narrower of f32 and f64 that holds them exactly. */
export interface StoredArray {
  readonly shape: readonly number[];
  readonly values: Float64Array | Float32Array;
}

/** Values converted at a time: a multiple of every element's size. */
const PIECE = 1 << 20;

/** Reads `shape` values of `dtype`, little-endian and row-major, a piece at a time beside the array they end in. */
export async function readStored(
  stream: ByteStream,
  dtype: SafeTensorDtype,
  shape: readonly number[],
): Promise<StoredArray> {
  const size = DTYPE_BYTES[dtype];
  const count = shape.reduce((product, length) => product * length, 1);
  const narrow = dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
  const values = narrow ? new Float32Array(count) : new Float64Array(count);
  let at = 0;
  const convert = (bytes: Uint8Array) => {
    const part = toFloats(dtype, bytes);
    values.set(part, at);
    at += part.length;
  };
  let held: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of stream.pieces(count * size)) {
    held.push(piece);
    bytes += piece.length;
    if (bytes < PIECE) continue;
    const whole = joined(...held);
    const end = bytes - (bytes % size);
    convert(whole.subarray(0, end));
    held = [whole.subarray(end)];
    bytes -= end;
  }
  convert(joined(...held));
  return { shape, values };
}

/**
 * The safetensors format (https://github.com/huggingface/safetensors): eight bytes with the header's length, a JSON
 * header of names, dtypes, shapes and offsets, then the tensors' bytes without gaps, little-endian and row-major.
 */
import {
  DTYPE_BYTES,
  headerEnd,
  LENGTH_BYTES,
  parseHeader,
  type SafeTensorDtype,
} from './safetensors_header.ts';

export type { SafeTensorDtype } from './safetensors_header.ts';

/** One tensor of a file: its bytes stay where they were read, and are converted when asked for. */
export interface SafeTensor {
  readonly dtype: SafeTensorDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  /** The values as f32, row-major; may share memory with the file. */
  f32(): Float32Array;
  /** The values as f64, row-major; may share memory with the file. 64-bit integers round to f64. */
  f64(): Float64Array;
}

/** The tensors of a file, by name, and its metadata. */
export interface SafeTensorsFile {
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A tensor to write: the dtype follows from the array's type. */
export interface TensorData {
  readonly shape: readonly number[];
  readonly data: Float64Array | Float32Array | Int32Array | Uint32Array | Uint8Array;
}

/** Reads a file's content; `name` stands in errors. Throws a UserError unless the file is whole and consistent. */
export function parseSafetensors(bytes: Uint8Array, name: string): SafeTensorsFile {
  const dataStart = headerEnd(bytes, bytes.length, name);
  const json = bytes.subarray(LENGTH_BYTES, dataStart);
  const { entries, metadata } = parseHeader(json, dataStart, bytes.length, name);
  const tensors = new Map<string, SafeTensor>();
  for (const [key, { dtype, shape, begin, end }] of entries) {
    tensors.set(key, storedTensor(dtype, shape, bytes.subarray(begin, end)));
  }
  return { tensors, metadata };
}

/** A tensor of these bytes, which are little-endian and row-major. */
export function storedTensor(
  dtype: SafeTensorDtype,
  shape: readonly number[],
  bytes: Uint8Array,
): SafeTensor {
  return new StoredTensor(dtype, shape, bytes);
}

/**
 * The content of a safetensors file. Tensors are laid out by falling element size, then by name, and metadata keys
 * are sorted: equal contents give equal bytes, whatever the order of insertion.
 */
export function writeSafetensors(
  tensors: Iterable<readonly [string, TensorData]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const entries = [...tensors].map(([key, tensor]) => ({ key, ...tensor, dtype: dtypeOf(tensor.data) }));
  entries.sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype] || (a.key < b.key ? -1 : 1));
  const header: Record<string, unknown> = {};
  const metadataEntries = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  if (metadataEntries.length > 0) header.__metadata__ = Object.fromEntries(metadataEntries);
  let offset = 0;
  for (const { key, shape, data, dtype } of entries) {
    const elements = shape.reduce((product, size) => product * size, 1);
    if (elements !== data.length) {
      throw new Error(`${key}: expected ${elements} values for shape [${shape}], got ${data.length}`);
    }
    if (Object.hasOwn(header, key)) throw new Error(`${key}: two tensors of one name`);
    header[key] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, 8);
  bytes.fill(0x20, 8 + json.length, 8 + padded);
  let position = 8 + padded;
  for (const { data } of entries) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position);
    position += data.byteLength;
  }
  return bytes;
}

/** 64-bit integers come as bigints, which typed arrays of numbers do not take. */
function isWide(values: ArrayLike<number> | ArrayLike<bigint>): values is ArrayLike<bigint> {
  return values instanceof BigInt64Array || values instanceof BigUint64Array;
}

/** Stored bytes as floats: f32 for F32, F16 and BF16, else f64, to which 64-bit integers round. */
export function toFloats(dtype: SafeTensorDtype, bytes: Uint8Array): Float32Array | Float64Array {
  const tensor = new StoredTensor(dtype, [bytes.length / DTYPE_BYTES[dtype]], bytes);
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16' ? tensor.f32() : tensor.f64();
}

class StoredTensor implements SafeTensor {
  readonly dtype: SafeTensorDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;

  constructor(dtype: SafeTensorDtype, shape: readonly number[], bytes: Uint8Array) {
    this.dtype = dtype;
    this.shape = shape;
    this.bytes = bytes;
  }

  f32(): Float32Array {
    const values = this.#values();
    if (values instanceof Float32Array) return values;
    return isWide(values) ? Float32Array.from(values, Number) : new Float32Array(values);
  }

  f64(): Float64Array {
    const values = this.#values();
    if (values instanceof Float64Array) return values;
    return isWide(values) ? Float64Array.from(values, Number) : new Float64Array(values);
  }

  #values(): ArrayLike<number> | ArrayLike<bigint> {
    const size = DTYPE_BYTES[this.dtype];
    const { buffer, byteOffset, byteLength } =
      this.bytes.byteOffset % size === 0 ? this.bytes : this.bytes.slice();
    const length = byteLength / size;
    switch (this.dtype) {
      case 'F64':
        return new Float64Array(buffer, byteOffset, length);
      case 'F32':
        return new Float32Array(buffer, byteOffset, length);
      case 'F16':
        return halvesToFloats(new Uint16Array(buffer, byteOffset, length));
      case 'BF16':
        return brainHalvesToFloats(new Uint16Array(buffer, byteOffset, length));
      case 'I64':
        return new BigInt64Array(buffer, byteOffset, length);
      case 'U64':
        return new BigUint64Array(buffer, byteOffset, length);
      case 'I32':
        return new Int32Array(buffer, byteOffset, length);
      case 'U32':
        return new Uint32Array(buffer, byteOffset, length);
      case 'I16':
        return new Int16Array(buffer, byteOffset, length);
      case 'U16':
        return new Uint16Array(buffer, byteOffset, length);
      case 'I8':
        return new Int8Array(buffer, byteOffset, length);
      default:
        return new Uint8Array(buffer, byteOffset, length);
    }
  }
}

/** IEEE half precision, exactly: f32 holds every half. */
function halvesToFloats(halves: Uint16Array): Float32Array {
  const floats = new Float32Array(halves.length);
  const bits = new Uint32Array(floats.buffer);
  for (let i = 0; i < halves.length; i++) {
    const sign = (halves[i] & 0x8000) << 16;
    const exponent = (halves[i] >> 10) & 0x1f;
    const fraction = halves[i] & 0x3ff;
    if (exponent === 0) {
      floats[i] = (sign === 0 ? fraction : -fraction) / 0x1000000;
    } else {
      bits[i] = sign | ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13);
    }
  }
  return floats;
}

/** bfloat16 is the upper half of an f32. */
function brainHalvesToFloats(halves: Uint16Array): Float32Array {
  const bits = new Int32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16;
  return new Float32Array(bits.buffer);
}

function dtypeOf(data: TensorData['data']): SafeTensorDtype {
  if (data instanceof Float64Array) return 'F64';
  if (data instanceof Float32Array) return 'F32';
  if (data instanceof Int32Array) return 'I32';
  if (data instanceof Uint32Array) return 'U32';
  return 'U8';
}

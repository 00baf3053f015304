/**
 * The safetensors format (https://github.com/huggingface/safetensors): eight bytes with the header's length, a JSON
 * header of names, dtypes, shapes and offsets, then the tensors' bytes without gaps, little-endian and row-major.
 */
import { messageOf, UserError } from '../errors.ts';

const DTYPE_BYTES = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

export type SafeTensorDtype = keyof typeof DTYPE_BYTES;

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

export interface SafeTensorsFile {
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A tensor to write: the dtype follows from the array's type. */
export interface TensorData {
  readonly shape: readonly number[];
  readonly data: Float64Array | Float32Array | Int32Array | Uint32Array | Uint8Array;
}

/** No real header comes near this; the limit of the reference implementation. */
const MAX_HEADER_BYTES = 100_000_000;

/** Reads a file's content; `name` stands in errors. Throws a UserError unless the file is whole and consistent. */
export function parseSafetensors(bytes: Uint8Array, name: string): SafeTensorsFile {
  const fail = (what: string): never => {
    throw new UserError(
      `${name}: not a valid safetensors file (${what}); it may be cut short, load it again`,
    );
  };
  if (bytes.length < 8) fail(`${bytes.length} bytes, fewer than the 8 of the header's length`);
  const lengthField = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (lengthField > BigInt(Math.min(MAX_HEADER_BYTES, bytes.length - 8))) {
    fail(`the header should take ${lengthField} bytes, the file has ${bytes.length}`);
  }
  const dataStart = 8 + Number(lengthField);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, dataStart)));
  } catch (error) {
    fail(`the header is not JSON: ${messageOf(error)}`);
  }
  if (!isRecord(header)) return fail('the header is not a JSON object');

  const data = bytes.subarray(dataStart);
  const metadata: Record<string, string> = {};
  const ranges: { key: string; begin: number; end: number }[] = [];
  const tensors = new Map<string, SafeTensor>();
  for (const [key, entry] of Object.entries(header)) {
    if (key === '__metadata__') {
      if (!isRecord(entry)) return fail('__metadata__ is not an object');
      for (const [field, value] of Object.entries(entry)) metadata[field] = String(value);
      continue;
    }
    if (!isRecord(entry)) return fail(`the entry of ${key} is not an object`);
    const { dtype, shape, data_offsets: offsets } = entry;
    if (typeof dtype !== 'string' || !isDtype(dtype)) {
      const known = Object.keys(DTYPE_BYTES).join(', ');
      throw new UserError(`${name}: ${key} has dtype ${String(dtype)}; expected one of ${known}`);
    }
    if (!isSizes(shape)) return fail(`${key} has no valid shape`);
    if (!isSizes(offsets) || offsets.length !== 2) return fail(`${key} has no valid data_offsets`);
    const [begin, end] = offsets;
    if (begin > end || end > data.length) {
      fail(`${key} lies at bytes ${begin} to ${end} of ${data.length}`);
    }
    const expected = shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
    if (end - begin !== expected) {
      fail(`${key} [${shape}] ${dtype} needs ${expected} bytes, its offsets give ${end - begin}`);
    }
    ranges.push({ key, begin, end });
    tensors.set(key, new StoredTensor(dtype, shape, data.subarray(begin, end)));
  }

  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { key, begin, end } of ranges) {
    if (begin !== covered) {
      fail(
        `${key} starts at byte ${begin}, ${begin < covered ? 'inside the tensor before' : 'after a gap from'} ${covered}`,
      );
    }
    covered = end;
  }
  if (covered !== data.length) fail(`the tensors end at byte ${covered} of ${data.length}`);
  return { tensors, metadata };
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
  const bits = new Uint32Array(halves.length);
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

function isDtype(dtype: string): dtype is SafeTensorDtype {
  return Object.hasOwn(DTYPE_BYTES, dtype);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

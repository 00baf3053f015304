/**
 * The header of a safetensors file (https://github.com/huggingface/safetensors): eight bytes with its length, then JSON
 * of names, dtypes, shapes and offsets. The tensors' bytes follow without gaps.
 */
import { messageOf, UserError } from '../errors.ts';

export const DTYPE_BYTES = {
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

/** Where a tensor lies: bytes [begin, end) of the file. */
export interface TensorEntry {
  readonly dtype: SafeTensorDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafeTensorsHeader {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** No real header comes near this; the limit of the reference implementation. */
const MAX_HEADER_BYTES = 100_000_000;

export const LENGTH_BYTES = 8;

function invalid(name: string, what: string): UserError {
  return new UserError(`${name}: not a valid safetensors file (${what}); it may be cut short, load it again`);
}

/**
 * First byte after the header of a file of `size` bytes, Infinity where nobody knows yet, given its first eight; `name`
 * stands in errors.
 */
export function headerEnd(first: Uint8Array, size: number, name: string): number {
  if (size < LENGTH_BYTES || first.length < LENGTH_BYTES) {
    throw invalid(name, `${size} bytes, fewer than the 8 of the header's length`);
  }
  const length = new DataView(first.buffer, first.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(Math.min(MAX_HEADER_BYTES, size - LENGTH_BYTES))) {
    const known = Number.isFinite(size) ? `, the file has ${size}` : '';
    throw invalid(name, `the header should take ${length} bytes${known}`);
  }
  return LENGTH_BYTES + Number(length);
}

/**
 * Reads a header's JSON, `json`, that ends at byte `dataStart` of a file of `size` bytes. Throws a UserError unless the
 * tensors cover the rest of the file without gaps; of a file whose size is not known yet (Infinity), what follows the
 * last tensor is left to the caller.
 */
export function parseHeader(
  json: Uint8Array,
  dataStart: number,
  size: number,
  name: string,
): SafeTensorsHeader {
  const fail = (what: string): never => {
    throw invalid(name, what);
  };
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (error) {
    fail(`the header is not JSON: ${messageOf(error)}`);
  }
  if (!isRecord(header)) return fail('the header is not a JSON object');

  const length = size - dataStart;
  const metadata: Record<string, string> = {};
  const ranges: { key: string; begin: number; end: number }[] = [];
  const entries = new Map<string, TensorEntry>();
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
    if (begin > end || end > length) {
      fail(`${key} lies at bytes ${begin} to ${end} of ${length}`);
    }
    const expected = shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
    if (end - begin !== expected) {
      fail(`${key} [${shape}] ${dtype} needs ${expected} bytes, its offsets give ${end - begin}`);
    }
    ranges.push({ key, begin, end });
    entries.set(key, { dtype, shape, begin: dataStart + begin, end: dataStart + end });
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
  if (covered !== length && Number.isFinite(length)) fail(`the tensors end at byte ${covered} of ${length}`);
  return { entries, metadata };
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

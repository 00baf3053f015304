/**
 * NumPy's .npy format, versions 1 to 3 (numpy.lib.format): a magic string, the header's length, a header that is a
 * Python dict literal, then the values. And .npz, a zip archive of such files, as numpy.savez and savez_compressed
 * write it.
 */
import { UserError } from '../errors.ts';
import { type ByteRanges, bytesFrom } from './byte_ranges.ts';
import { ByteStream } from './byte_stream.ts';
import type { SafeTensorDtype } from './safetensors.ts';
import { readStored, type StoredArray } from './stored_values.ts';

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const MAX_HEADER_BYTES = 1 << 20;

const DTYPES: Readonly<Record<string, SafeTensorDtype>> = {
  '<f8': 'F64',
  '<f4': 'F32',
  '<f2': 'F16',
  '<i8': 'I64',
  '<u8': 'U64',
  '<i4': 'I32',
  '<u4': 'U32',
  '<i2': 'I16',
  '<u2': 'U16',
  '|i1': 'I8',
  '|u1': 'U8',
  '|b1': 'BOOL',
};

export function isNpy(start: Uint8Array): boolean {
  return MAGIC.every((byte, i) => start[i] === byte);
}

/** What stands before the values of a .npy file. */
export interface NpyHeader {
  readonly dtype: SafeTensorDtype;
  readonly shape: readonly number[];
  /** Whether the last index runs fastest (C order), not the first one (Fortran order). */
  readonly rowMajor: boolean;
  /** Bytes of the header. */
  readonly bytes: number;
}

/** Reads a header up to the values; `name` stands in errors. Throws a UserError unless they are little-endian numbers. */
export async function readNpyHeader(stream: ByteStream, name: string): Promise<NpyHeader> {
  if (!isNpy(await stream.peek(MAGIC.length))) {
    throw new UserError(`${name}: expected a .npy file, which numpy.save writes; it begins otherwise`);
  }
  const [version] = (await stream.take(8)).subarray(6);
  const field = await stream.take(version === 1 ? 2 : 4);
  const view = new DataView(field.buffer, field.byteOffset);
  const length = version === 1 ? view.getUint16(0, true) : view.getUint32(0, true);
  if (version < 1 || version > 3 || length > MAX_HEADER_BYTES) {
    throw new UserError(`${name}: expected a .npy file of version 1 to 3, got version ${version}`);
  }
  const header = new TextDecoder().decode(await stream.take(length));
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order':\s*(True|False)/.exec(header)?.[1];
  const sizes = /'shape':\s*\(([\d\s,]*)\)/.exec(header)?.[1];
  if (order === undefined || sizes === undefined) {
    throw new UserError(`${name}: not a valid .npy file (its header is ${header.trim().slice(0, 80)})`);
  }
  const dtype = descr === undefined ? undefined : DTYPES[descr];
  if (dtype === undefined) {
    throw new UserError(
      `${name}: expected little-endian numbers (${Object.keys(DTYPES).join(', ')}), got dtype ` +
        `${descr ?? 'with fields'}; save array.astype('<f4')`,
    );
  }
  const shape = sizes.split(',').flatMap((size) => (size.trim() === '' ? [] : [Number(size)]));
  const bytes = 8 + field.length + length;
  return { dtype, shape, rowMajor: order === 'False' || shape.length < 2, bytes };
}

/** Reads one array, in C or Fortran order; `name` stands in errors. Throws a UserError unless it is of little-endian numbers. */
export async function readNpy(stream: ByteStream, name: string): Promise<StoredArray> {
  const { dtype, shape, rowMajor: inOrder } = await readNpyHeader(stream, name);
  const array = await readStored(stream, dtype, shape);
  return inOrder ? array : rowMajor(array);
}

/** The same array with the last index running fastest, of one whose first does. */
function rowMajor({ shape, values }: StoredArray): StoredArray {
  const turned = values.slice();
  const index = shape.map(() => 0);
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  let to = 0;
  for (const value of values) {
    turned[to] = value;
    for (let axis = 0; axis < shape.length; axis++) {
      to += strides[axis];
      if (++index[axis] < shape[axis]) break;
      to -= shape[axis] * strides[axis];
      index[axis] = 0;
    }
  }
  return { shape, values: turned };
}

const LOCAL_FILE = 0x04034b50;
const STORED = 0;
const DEFLATED = 8;
const ZIP64_EXTRA = 1;
const IN_ZIP64 = 0xffffffff;

export function isZip(start: Uint8Array): boolean {
  return start[0] === 0x50 && start[1] === 0x4b && start[2] === 3 && start[3] === 4;
}

/** Reads the arrays called `wanted` from an archive, front to back; the others are passed over. */
export async function readNpz(
  stream: ByteStream,
  name: string,
  wanted: ReadonlySet<string>,
): Promise<{ arrays: Map<string, StoredArray>; names: string[] }> {
  const arrays = new Map<string, StoredArray>();
  const names: string[] = [];
  for (;;) {
    const start = await stream.peek(4);
    if (start.length < 4) throw new UserError(`${name}: the archive is cut short; make or load it again`);
    // Behind the last file comes the directory, which repeats what stands beside the files.
    if (view(start).getUint32(0, true) !== LOCAL_FILE) return { arrays, names };
    const { file, method, bytes } = await readLocalHeader(stream, name);
    const key = file.replace(/\.npy$/, '');
    names.push(key);
    if (!wanted.has(key)) {
      await stream.skip(bytes);
      continue;
    }
    const content = stream.pieces(bytes);
    const where = `${name}: ${file}`;
    const inner = new ByteStream(method === DEFLATED ? inflated(content, where) : content, where);
    arrays.set(key, await readNpy(inner, where));
    for await (const _ of inner.rest());
  }
}

/** A file of an archive: its name without .npy, and where its bytes lie. */
export interface NpzMember {
  readonly key: string;
  readonly begin: number;
  readonly end: number;
  readonly deflated: boolean;
}

/** The files of an archive, from header to header. */
export async function* npzMembers(file: ByteRanges, name: string): AsyncGenerator<NpzMember> {
  for (let at = 0; ; ) {
    const stream = new ByteStream(bytesFrom(file, at), name);
    try {
      const start = await stream.peek(4);
      if (start.length < 4) throw new UserError(`${name}: the archive is cut short; make or load it again`);
      if (view(start).getUint32(0, true) !== LOCAL_FILE) return;
      const { file: member, method, bytes, header } = await readLocalHeader(stream, name);
      const begin = at + header;
      at = begin + bytes;
      yield { key: member.replace(/\.npy$/, ''), begin, end: at, deflated: method === DEFLATED };
    } finally {
      await stream.close();
    }
  }
}

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

interface LocalHeader {
  readonly file: string;
  readonly method: number;
  /** As stored. */
  readonly bytes: number;
  /** Bytes of the header itself. */
  readonly header: number;
}

async function readLocalHeader(stream: ByteStream, name: string): Promise<LocalHeader> {
  const fields = view(await stream.take(30));
  const flags = fields.getUint16(6, true);
  const method = fields.getUint16(8, true);
  const title = await stream.take(fields.getUint16(26, true));
  const file = new TextDecoder().decode(title);
  const extra = view(await stream.take(fields.getUint16(28, true)));
  const mend = 'write it with numpy.savez or savez_compressed to a file';
  if (flags & 1) throw new UserError(`${name}: ${file} is encrypted; ${mend}`);
  if (flags & 8) throw new UserError(`${name}: ${file} does not say its size in front; ${mend}`);
  if (method !== STORED && method !== DEFLATED) {
    throw new UserError(`${name}: ${file} is compressed by method ${method}, not deflate; ${mend}`);
  }
  let bytes = fields.getUint32(18, true);
  for (let at = 0; bytes === IN_ZIP64 && at + 20 <= extra.byteLength; ) {
    // The size before compression stands first.
    if (extra.getUint16(at, true) === ZIP64_EXTRA) bytes = Number(extra.getBigUint64(at + 12, true));
    else at += 4 + extra.getUint16(at + 2, true);
  }
  return { file, method, bytes, header: 30 + title.length + extra.byteLength };
}

/** The bytes that `content`, deflated, stands for; `name` stands in errors. */
export async function* inflated(
  content: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Uint8Array> {
  const { readable, writable } = new DecompressionStream('deflate-raw');
  const writer = writable.getWriter();
  let cause: unknown;
  const feeding = (async () => {
    try {
      for await (const piece of content) await writer.write(piece as Uint8Array<ArrayBuffer>);
      await writer.close();
    } catch (error) {
      cause = error;
      await writer.abort(error).catch(() => {});
    }
  })();
  const reader = readable.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      yield value;
    }
  } catch (error) {
    await feeding;
    if (cause instanceof UserError) throw cause;
    throw new UserError(
      `${name}: its compressed bytes are damaged (${String(error)}); make or load it again`,
    );
  }
  await feeding;
}

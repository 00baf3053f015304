/** Where the arrays of score files lie, so that they can be read from any place on. */
import { UserError } from '../errors.ts';
import type { ArrayPlace, TablePlaces } from './array_source.ts';
import { type ByteRanges, bytesFrom, StreamReader } from './byte_ranges.ts';
import { ByteStream } from './byte_stream.ts';
import { inflated, npzMembers, readNpyHeader } from './npy.ts';
import { DTYPE_BYTES, headerEnd, LENGTH_BYTES, parseHeader } from './safetensors_header.ts';
import { readStored, type StoredArray } from './stored_values.ts';

/** The arrays of a file by name. Undefined where one can be read only as a whole. */
export type Places = ReadonlyMap<string, ArrayPlace> | undefined;

export async function safetensorsPlaces(file: ByteRanges, name: string): Promise<Places> {
  const stream = new ByteStream(bytesFrom(file, 0), name);
  stream.kind = 'safetensors file';
  try {
    const dataStart = headerEnd(await stream.take(LENGTH_BYTES), file.size, name);
    const { entries } = parseHeader(await stream.take(dataStart - LENGTH_BYTES), dataStart, file.size, name);
    return new Map(
      Array.from(entries, ([key, { dtype, shape, begin }]) => {
        const open = (first: number) => file.open(begin + first * DTYPE_BYTES[dtype]);
        return [key, { dtype, shape, open }];
      }),
    );
  } finally {
    await stream.close();
  }
}

/** The array of a .npy file. Undefined where its first index runs fastest. */
export async function npyPlace(file: ByteRanges, name: string): Promise<ArrayPlace | undefined> {
  return await placeBehindHeader(
    () => new ByteStream(bytesFrom(file, 0), name),
    (at) => file.open(at),
    name,
  );
}

export async function npzPlaces(file: ByteRanges, name: string): Promise<Places> {
  const places = new Map<string, ArrayPlace>();
  for await (const { key, begin, end, deflated } of npzMembers(file, name)) {
    const where = `${name}: ${key}.npy`;
    const content = (): AsyncIterable<Uint8Array> => {
      const bytes = bytesFrom(file, begin, end);
      return deflated ? inflated(bytes, where) : bytes;
    };
    const open = (at: number) => (deflated ? new StreamReader(content(), at) : file.open(begin + at));
    const place = await placeBehindHeader(() => new ByteStream(content(), where), open, where);
    if (!place) return undefined;
    places.set(key, place);
  }
  return places;
}

async function placeBehindHeader(
  begin: () => ByteStream,
  open: (at: number) => ReturnType<ArrayPlace['open']>,
  name: string,
): Promise<ArrayPlace | undefined> {
  const stream = begin();
  try {
    const { dtype, shape, rowMajor, bytes } = await readNpyHeader(stream, name);
    if (!rowMajor) return undefined;
    return { dtype, shape, open: (first) => open(bytes + first * DTYPE_BYTES[dtype]) };
  } finally {
    await stream.close();
  }
}

/** The places of a table among those of a file. */
export async function tablePlaces(
  places: ReadonlyMap<string, ArrayPlace>,
  name: string,
): Promise<TablePlaces> {
  const reward = places.get('reward');
  const safety = places.get('safety');
  const weights = places.get('weights');
  const responses = places.get('responses');
  if (!reward || !safety) {
    throw new UserError(
      `${name}: expected arrays "reward" [N, K] and "safety" [m, N, K], found ${[...places.keys()].join(', ') || 'none'}`,
    );
  }
  return {
    reward,
    safety: [safety],
    ...(weights ? { weights } : {}),
    ...(responses ? { responses: await readWhole(responses, name) } : {}),
  };
}

/** All of an array, in the narrower of f32 and f64. */
export async function readWhole({ dtype, shape, open }: ArrayPlace, name: string): Promise<StoredArray> {
  const size = shape.reduce((product, length) => product * length, DTYPE_BYTES[dtype]);
  const stream = new ByteStream(bytesFrom({ size, open: () => open(0) }, 0, size), name);
  try {
    return await readStored(stream, dtype, shape);
  } finally {
    await stream.close();
  }
}

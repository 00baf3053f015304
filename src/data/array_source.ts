/** Tables of arrays in files, read row by row from each array at once and never held. */
import type { ScoreSource, ScoreTable } from '../dual/problem.ts';
import { UserError } from '../errors.ts';
import type { RangeReader } from './byte_ranges.ts';
import { toFloats } from './safetensors.ts';
import { DTYPE_BYTES, type SafeTensorDtype } from './safetensors_header.ts';
import { checkShapes, countsOf } from './score_arrays.ts';
import type { StoredArray } from './stored_values.ts';

/** Responses of a chunk, about. */
const CHUNK = 1 << 19;

/** A row-major array of which any part can be read. */
export interface ArrayPlace {
  readonly dtype: SafeTensorDtype;
  readonly shape: readonly number[];
  /** Begins at element `first`. */
  open(first: number): RangeReader;
}

/** The arrays of a table; more than one `safety` array where each holds one score. */
export interface TablePlaces {
  readonly reward: ArrayPlace;
  readonly safety: readonly ArrayPlace[];
  readonly weights?: ArrayPlace;
  readonly responses?: StoredArray;
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** The source of a table (`tableOfArrays` says of what shapes); `name` stands in errors. */
export function arraySource({ reward, safety, weights, responses }: TablePlaces, name: string): ScoreSource {
  const stacked = safety.length > 1 ? [safety.length, ...safety[0].shape] : safety[0].shape;
  checkShapes(reward.shape, stacked, weights?.shape, responses?.shape, name);
  const total = sizeOf(reward.shape);
  const planes = sizeOf(stacked) / total;
  const counts = responses && countsOf(responses, reward.shape, name);
  const width = reward.shape.length === 2 ? reward.shape[1] : undefined;
  const prompts = counts?.length ?? reward.shape[0];
  const flat = width === undefined && counts;
  const safetyPlanes = Array.from({ length: planes }, (_, j) =>
    safety.length > 1 ? { place: safety[j], first: 0 } : { place: safety[0], first: j * total },
  );
  const widest = counts?.reduce((most, count) => Math.max(most, count), 0) ?? 0;
  const step = Math.max(1, Math.floor(CHUNK / (width ?? widest)));

  /** Stored elements of rows `row` to `end`, padding included. */
  const elements = (row: number, end: number) =>
    flat ? counts.subarray(row, end).reduce((sum, count) => sum + count, 0) : (end - row) * width!;
  return async function* (): AsyncGenerator<ScoreTable> {
    const columns = [
      new Column([{ place: reward, first: 0 }], name),
      new Column(safetyPlanes, name),
      ...(weights ? [new Column([{ place: weights, first: 0 }], name)] : []),
    ];
    const read = (row: number) => {
      const size = elements(row, Math.min(row + step, prompts));
      const parts = Promise.all(columns.map((column) => column.read(size)));
      // Whoever waits for it hears of the error; until then nobody does.
      parts.catch(() => {});
      return parts;
    };
    let next = read(0);
    try {
      for (let row = 0; row < prompts; row += step) {
        const end = Math.min(row + step, prompts);
        const parts = await next;
        // The next rows come in while these are worked on.
        if (end < prompts) next = read(end);
        const own = counts?.subarray(row, end);
        const [rewards, scores, weighed] =
          own && width !== undefined ? parts.map((part) => withoutPadding(part, own, width)) : parts;
        yield {
          prompts: end - row,
          responses: own ? own.slice() : width!,
          reward: rewards,
          safety: scores,
          ...(weighed ? { weights: weighed } : {}),
        };
      }
    } finally {
      // What is being read meanwhile would open its file again.
      await next.catch(() => {});
      for (const column of columns) await column.close();
    }
  };
}

type Values = Float64Array | Float32Array;

/** Planes of numbers that are read side by side, into one of two buffers in turn. */
class Column {
  #readers: RangeReader[];
  #dtype: SafeTensorDtype;
  #name: string;
  #buffers: [ArrayBuffer, ArrayBuffer] = [new ArrayBuffer(0), new ArrayBuffer(0)];

  constructor(planes: readonly { place: ArrayPlace; first: number }[], name: string) {
    this.#readers = planes.map(({ place, first }) => place.open(first));
    this.#dtype = planes[0].place.dtype;
    this.#name = name;
  }

  /** The next `count` numbers of each plane, one plane after another; good until the read after the next one. */
  async read(count: number): Promise<Values> {
    const size = count * DTYPE_BYTES[this.#dtype];
    const [last, buffer] = this.#buffers;
    const whole = buffer.byteLength >= size * this.#readers.length;
    const target = whole ? buffer : new ArrayBuffer(size * this.#readers.length);
    this.#buffers = [target, last];
    for (const [j, reader] of this.#readers.entries()) {
      const filled = await reader.read(new Uint8Array(target, j * size, size));
      if (filled < size) {
        throw new UserError(
          `${this.#name}: the file is cut short, at least ${size - filled} bytes are missing; make or load it again`,
        );
      }
    }
    return toFloats(this.#dtype, new Uint8Array(target, 0, size * this.#readers.length));
  }

  async close(): Promise<void> {
    for (const reader of this.#readers) await reader.close();
  }
}

/** The first `counts[n]` of each row of `width` values, moved together in place, of as many planes as there are. */
function withoutPadding(values: Values, counts: Uint32Array, width: number): Values {
  let to = 0;
  let from = 0;
  while (from < values.length) {
    for (const count of counts) {
      values.copyWithin(to, from, from + count);
      to += count;
      from += width;
    }
  }
  return values.subarray(0, to);
}

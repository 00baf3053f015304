/** Bytes that can be read from any place on, and again: of a file, or of a resource on the network. */
export interface ByteRanges {
  readonly size: number;
  /** Begins at byte `begin`; several readers may be under way. */
  open(begin: number): RangeReader;
}

export interface RangeReader {
  /** Fills `into` as far as there are bytes; their number. */
  read(into: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

/** Fills `into` from byte `begin` on, as far as there are bytes; their number. */
export async function readAt(ranges: ByteRanges, begin: number, into: Uint8Array): Promise<number> {
  const reader = ranges.open(begin);
  try {
    return await reader.read(into);
  } finally {
    await reader.close();
  }
}

/** A reader of what a stream of bytes gives after the first `skip` bytes. */
export class StreamReader implements RangeReader {
  #source: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);
  #skip: number;

  constructor(source: AsyncIterable<Uint8Array>, skip = 0) {
    this.#source = source[Symbol.asyncIterator]();
    this.#skip = skip;
  }

  async read(into: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < into.length) {
      if (this.#chunk.length === 0) {
        const { done, value } = await this.#source.next();
        if (done) break;
        const skipped = Math.min(this.#skip, value.length);
        this.#skip -= skipped;
        this.#chunk = value.subarray(skipped);
        continue;
      }
      const part = this.#chunk.subarray(0, into.length - filled);
      into.set(part, filled);
      filled += part.length;
      this.#chunk = this.#chunk.subarray(part.length);
    }
    return filled;
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

const PIECE = 1 << 18;

/** The bytes from `begin` up to `end`, or to where they end, in pieces of their own. */
export async function* bytesFrom(
  ranges: ByteRanges,
  begin: number,
  end: number = Number.POSITIVE_INFINITY,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = ranges.open(begin);
  try {
    for (let at = begin; at < end; ) {
      const piece = new Uint8Array(Math.min(PIECE, end - at));
      const count = await reader.read(piece);
      if (count > 0) yield piece.subarray(0, count);
      if (count < piece.length) return;
      at += count;
    }
  } finally {
    await reader.close();
  }
}

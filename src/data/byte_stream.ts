import { UserError } from '../errors.ts';

/** Bytes read from front to back, of which no more is held than the chunk at hand. */
export class ByteStream {
  /** What messages call the source's kind. */
  kind = 'file';
  #source: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  #name: string;
  #chunk: Uint8Array = new Uint8Array(0);
  #done = false;

  /** `name` stands in the error about a source that ends too soon. */
  constructor(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, name: string) {
    this.#source =
      Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    this.#name = name;
  }

  async #pull(): Promise<boolean> {
    while (!this.#done) {
      const { done, value } = await this.#source.next();
      if (done) this.#done = true;
      else if (value.length > 0) {
        this.#chunk = this.#chunk.length === 0 ? value : joined(this.#chunk, value);
        return true;
      }
    }
    return false;
  }

  /** The next `count` bytes, or what is left of them, without taking them. */
  async peek(count: number): Promise<Uint8Array> {
    while (this.#chunk.length < count && (await this.#pull()));
    return this.#chunk.subarray(0, count);
  }

  /** The next `count` bytes; throws a UserError where the source ends before. */
  async take(count: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for await (const piece of this.pieces(count)) parts.push(piece);
    return joined(...parts);
  }

  /** The next `count` bytes, a chunk at a time; throws a UserError where the source ends before. */
  async *pieces(count: number): AsyncGenerator<Uint8Array> {
    let left = count;
    while (left > 0) {
      if (this.#chunk.length === 0 && !(await this.#pull())) throw this.#cutShort(left);
      const piece = this.#chunk.subarray(0, left);
      this.#chunk = this.#chunk.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async skip(count: number): Promise<void> {
    for await (const _ of this.pieces(count));
  }

  /** All that is left, a chunk at a time. */
  async *rest(): AsyncGenerator<Uint8Array> {
    while (this.#chunk.length > 0 || (await this.#pull())) {
      const piece = this.#chunk;
      this.#chunk = new Uint8Array(0);
      yield piece;
    }
  }

  /** Lets go of a source that is not read to its end. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  #cutShort(missing: number): UserError {
    return new UserError(
      `${this.#name}: the ${this.kind} is cut short, at least ${missing} bytes are missing; make or load it again`,
    );
  }
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

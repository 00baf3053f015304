import { type FileHandle, open, stat } from 'node:fs/promises';
import { type ByteRanges, type RangeReader, StreamReader } from '../data/byte_ranges.ts';
import { messageOf, UserError } from '../errors.ts';

/** A file of the disk. */
export async function fileRanges(path: string): Promise<ByteRanges> {
  const { size } = await stat(path);
  return { size, open: (begin) => new FileReader(path, begin) };
}

class FileReader implements RangeReader {
  #path: string;
  #position: number;
  #handle: FileHandle | undefined;

  constructor(path: string, begin: number) {
    this.#path = path;
    this.#position = begin;
  }

  async read(into: Uint8Array): Promise<number> {
    this.#handle ??= await open(this.#path);
    let filled = 0;
    while (filled < into.length) {
      const { bytesRead } = await this.#handle.read(into, filled, into.length - filled, this.#position);
      if (bytesRead === 0) break;
      filled += bytesRead;
      this.#position += bytesRead;
    }
    return filled;
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
  }
}

/**
 * A resource of the network, of `size` bytes. Where the server knows no ranges, each reader gets all of it from the
 * beginning and passes over what comes before its place.
 */
export function urlRanges(url: string, size: number): ByteRanges {
  return { size, open: (begin) => new UrlReader(url, begin) };
}

class UrlReader implements RangeReader {
  #url: string;
  #begin: number;
  #abort = new AbortController();
  #reader: StreamReader | undefined;

  constructor(url: string, begin: number) {
    this.#url = url;
    this.#begin = begin;
  }

  async read(into: Uint8Array): Promise<number> {
    try {
      this.#reader ??= await this.#request();
      return await this.#reader.read(into);
    } catch (error) {
      if (error instanceof UserError) throw error;
      const cause = (error as { cause?: unknown }).cause ?? error;
      throw new UserError(`${this.#url}: the transfer broke off (${messageOf(cause)}); try again`);
    }
  }

  async #request(): Promise<StreamReader> {
    const headers: Record<string, string> = this.#begin > 0 ? { range: `bytes=${this.#begin}-` } : {};
    const response = await fetch(this.#url, { headers, signal: this.#abort.signal });
    if (!response.ok || !response.body) {
      throw new UserError(
        `${this.#url}: expected scores, the server answered ${response.status} ${response.statusText}`.trim(),
      );
    }
    return new StreamReader(chunksOf(response.body), response.status === 206 ? 0 : this.#begin);
  }

  async close(): Promise<void> {
    this.#abort.abort();
  }
}

/** What Node and Deno can iterate over themselves, and browsers cannot all. */
async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

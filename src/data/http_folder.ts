import { UserError } from '../errors.ts';
import type { Folder } from './folder.ts';

/**
 * A folder of a web server, read by range: what a page loads a model from without a copy of its own. A server that does
 * not serve ranges sends whole files; the last one is kept, so that its tensors are not fetched over and over.
 */
export class HttpFolder implements Folder {
  readonly name: string;
  #whole: { path: string; bytes: Uint8Array } | undefined;

  /** `url` is the folder's, absolute or relative to the page. */
  constructor(url: string) {
    this.name = url.replace(/\/+$/, '');
  }

  async exists(path: string): Promise<boolean> {
    return (await this.#fetch(path, { method: 'HEAD' })).ok;
  }

  async size(path: string): Promise<number> {
    const response = await this.#found(path, { method: 'HEAD' });
    const length = response.headers.get('Content-Length');
    return length === null ? (await this.read(path)).length : Number(length);
  }

  async read(path: string): Promise<Uint8Array> {
    if (this.#whole?.path === path) return this.#whole.bytes;
    return new Uint8Array(await (await this.#found(path, {})).arrayBuffer());
  }

  async readText(path: string): Promise<string> {
    return new TextDecoder().decode(await this.read(path));
  }

  async readRange(path: string, begin: number, end: number): Promise<Uint8Array> {
    if (begin === end) return new Uint8Array(0);
    if (this.#whole?.path !== path) {
      // Browsers answer for a range of an extension's own file as if it were the whole.
      const headers: HeadersInit = isExtension(this.name) ? {} : { Range: `bytes=${begin}-${end - 1}` };
      const response = await this.#found(path, { headers });
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (response.status === 206) {
        if (bytes.length === end - begin) return bytes;
        throw new UserError(
          `${this.name}/${path}: expected ${end - begin} bytes from ${begin} on, got ${bytes.length}`,
        );
      }
      this.#whole = { path, bytes };
    }
    const { bytes } = this.#whole!;
    if (end > bytes.length) {
      throw new UserError(`${this.name}/${path}: expected ${end} bytes, got ${bytes.length}`);
    }
    return bytes.slice(begin, end);
  }

  async #found(path: string, init: RequestInit): Promise<Response> {
    const response = await this.#fetch(path, init);
    if (response.ok) return response;
    const missing = response.status === 404;
    throw new UserError(
      `${this.name}/${path}: ${missing ? 'no such file' : `the server answered ${response.status}`}`,
    );
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(`${this.name}/${path}`, init);
    } catch (error) {
      // Browsers have no status for a file that is not among an extension's own.
      if (isExtension(this.name)) return new Response(null, { status: 404 });
      throw new UserError(`${this.name}/${path}: the server cannot be reached (${String(error)})`);
    }
  }
}

function isExtension(url: string): boolean {
  return new URL(url, globalThis.location?.href).protocol.endsWith('-extension:');
}

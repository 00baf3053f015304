import type { WritableFolder } from '../data/folder.ts';
import { messageOf, UserError } from '../errors.ts';

/**
 * A folder in the storage that a browser keeps for a page's origin (origin private file system), in pages and workers: a
 * run there outlives the page, and goes on when the page is opened again.
 */
export class PageFolder implements WritableFolder {
  readonly name: string;

  /** `path` is the folder's among those of the origin; it is made when first written to. */
  constructor(path: string) {
    this.name = path;
  }

  async exists(path: string): Promise<boolean> {
    return (await this.#find(path)) !== undefined;
  }

  async read(path: string): Promise<Uint8Array> {
    return new Uint8Array(await (await this.#file(path)).arrayBuffer());
  }

  async readText(path: string): Promise<string> {
    return await (await this.#file(path)).text();
  }

  async size(path: string): Promise<number> {
    return (await this.#file(path)).size;
  }

  async readRange(path: string, begin: number, end: number): Promise<Uint8Array> {
    const file = await this.#file(path);
    if (end > file.size) {
      throw new UserError(`${this.name}/${path}: could not be read (it ends before byte ${end})`);
    }
    return new Uint8Array(await file.slice(begin, end).arrayBuffer());
  }

  /** What a writable stream was given takes the file's place when it is closed, and not before. */
  async write(path: string, content: Uint8Array | string): Promise<void> {
    await this.#store(path, content, false);
  }

  async append(path: string, content: string): Promise<void> {
    await this.#store(path, content, true);
  }

  async remove(path: string): Promise<void> {
    const { folder, name } = this.#place(path);
    try {
      await (await this.#open(folder, false)).removeEntry(name, { recursive: true });
    } catch (error) {
      if (!isMissing(error)) throw unusable(`${this.name}/${path}`, error);
    }
  }

  /** Paths of all files, in no order. */
  async files(): Promise<string[]> {
    const found: string[] = [];
    const walk = async (folder: FileSystemDirectoryHandle, path: string): Promise<void> => {
      for await (const [name, entry] of entriesOf(folder)) {
        if (entry.kind === 'file') found.push(`${path}${name}`);
        else await walk(entry as FileSystemDirectoryHandle, `${path}${name}/`);
      }
    };
    await walk(await this.#open([], true), '');
    return found;
  }

  async #store(path: string, content: Uint8Array | string, keepExistingData: boolean): Promise<void> {
    const { folder, name } = this.#place(path);
    try {
      const handle = await (await this.#open(folder, true)).getFileHandle(name, { create: true });
      const position = keepExistingData ? (await handle.getFile()).size : 0;
      const stream = await handle.createWritable({ keepExistingData });
      // A view of memory that threads share is not taken.
      const data = typeof content === 'string' ? content : new Uint8Array(content);
      await stream.write({ type: 'write', position, data });
      await stream.close();
    } catch (error) {
      throw unusable(`${this.name}/${path}`, error);
    }
  }

  async #file(path: string): Promise<File> {
    const handle = await this.#find(path);
    if (!handle) throw new UserError(`${this.name}/${path}: no such file`);
    return await handle.getFile();
  }

  async #find(path: string): Promise<FileSystemFileHandle | undefined> {
    const { folder, name } = this.#place(path);
    try {
      return await (await this.#open(folder, false)).getFileHandle(name);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw unusable(`${this.name}/${path}`, error);
    }
  }

  #place(path: string): { folder: string[]; name: string } {
    const folder = path.split('/');
    return { name: folder.pop()!, folder };
  }

  async #open(below: readonly string[], create: boolean): Promise<FileSystemDirectoryHandle> {
    let handle = await navigator.storage.getDirectory();
    for (const name of [...this.name.split('/'), ...below]) {
      handle = await handle.getDirectoryHandle(name, { create });
    }
    return handle;
  }
}

/** TypeScript's DOM library leaves asynchronous iteration out. */
function entriesOf(folder: FileSystemDirectoryHandle): AsyncIterable<[string, FileSystemHandle]> {
  return folder as unknown as AsyncIterable<[string, FileSystemHandle]>;
}

/** A folder in the place of a file, or a file in that of a folder, is not what was asked for either. */
function isMissing(error: unknown): boolean {
  return error instanceof DOMException && ['NotFoundError', 'TypeMismatchError'].includes(error.name);
}

function unusable(file: string, error: unknown): UserError {
  const full = error instanceof DOMException && error.name === 'QuotaExceededError';
  return new UserError(
    full
      ? `${file}: the browser's storage for this page is full; free some, or allow the page more`
      : `${file}: the page's storage cannot be used (${messageOf(error)})`,
  );
}

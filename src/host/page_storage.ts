import type { WritableFolder } from '../data/folder.ts';
import { messageOf, UserError } from '../errors.ts';

/** Ends the name of a file that is not whole. */
const UNFINISHED = '.unfinished';

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

  /** The file is whole or as it was, also when storage is full or the page ends in the middle. */
  async write(path: string, content: Uint8Array | string): Promise<void> {
    await this.#store(path, content, false);
  }

  async append(path: string, content: string): Promise<void> {
    await this.appendBytes(path, new TextEncoder().encode(content));
  }

  /** As `append`. */
  async appendBytes(path: string, content: Uint8Array): Promise<void> {
    // Workers write in place; elsewhere the whole file is copied each time.
    if ('createSyncAccessHandle' in FileSystemFileHandle.prototype) await this.#extend(path, content);
    else await this.#store(path, content, true);
  }

  /** The file itself, which a page may show or give away. */
  async file(path: string): Promise<File> {
    return await this.#file(path);
  }

  async remove(path: string): Promise<void> {
    const { folder, name } = this.#place(path);
    try {
      await (await this.#open(folder, false)).removeEntry(name, { recursive: true });
    } catch (error) {
      if (!isMissing(error)) throw unusable(`${this.name}/${path}`, error);
    }
  }

  /** Gives a file another name, in the place of one that has it. */
  async rename(path: string, name: string): Promise<void> {
    const { folder, name: file } = this.#place(path);
    try {
      const handle = await (await this.#open(folder, false)).getFileHandle(file);
      const into = this.#place(name);
      await (handle as MovableFileHandle).move(await this.#open(into.folder, true), into.name);
    } catch (error) {
      throw unusable(`${this.name}/${path}`, error);
    }
  }

  /** Paths of all files, in no order. */
  async files(): Promise<string[]> {
    const found: string[] = [];
    const walk = async (folder: FileSystemDirectoryHandle, path: string): Promise<void> => {
      for await (const [name, entry] of entriesOf(folder)) {
        if (entry.kind === 'file') {
          if (!name.endsWith(UNFINISHED)) found.push(`${path}${name}`);
        } else await walk(entry as FileSystemDirectoryHandle, `${path}${name}/`);
      }
    };
    await walk(await this.#open([], true), '');
    return found;
  }

  /** What a writable stream was given takes a file's place when it is closed; a new file gets its name after that. */
  async #store(path: string, content: Uint8Array | string, keepExistingData: boolean): Promise<void> {
    const { folder: below, name } = this.#place(path);
    const isNew = !(await this.exists(path));
    try {
      const folder = await this.#open(below, true);
      const written = isNew ? name + UNFINISHED : name;
      const handle = await folder.getFileHandle(written, { create: isNew });
      try {
        const position = keepExistingData && !isNew ? (await handle.getFile()).size : 0;
        const stream = await handle.createWritable({ keepExistingData: position > 0 });
        // A view of memory that threads share is not taken.
        const data = typeof content === 'string' ? content : new Uint8Array(content);
        await stream.write({ type: 'write', position, data });
        await stream.close();
        if (isNew) await (handle as MovableFileHandle).move(folder, name);
      } catch (error) {
        if (isNew) await folder.removeEntry(written).catch(() => {});
        throw error;
      }
    } catch (error) {
      throw unusable(`${this.name}/${path}`, error);
    }
  }

  async #extend(path: string, content: Uint8Array): Promise<void> {
    const { folder, name } = this.#place(path);
    try {
      const file = await (await this.#open(folder, true)).getFileHandle(name, { create: true });
      const handle = await (file as SyncFileHandle).createSyncAccessHandle();
      try {
        const at = handle.getSize();
        const written = handle.write(new Uint8Array(content), { at });
        if (written < content.length) {
          handle.truncate(at);
          throw new DOMException('', 'QuotaExceededError');
        }
        handle.flush();
      } finally {
        handle.close();
      }
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

/** Browsers had this before the standard. */
interface MovableFileHandle extends FileSystemFileHandle {
  move(folder: FileSystemDirectoryHandle, name: string): Promise<void>;
}

/** TypeScript keeps what workers alone have in a library of its own. */
interface SyncFileHandle extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<{
    getSize(): number;
    write(content: Uint8Array, options: { at: number }): number;
    truncate(size: number): void;
    flush(): void;
    close(): void;
  }>;
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

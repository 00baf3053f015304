import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { appendFile, mkdir, mkdtemp, open, readFile, rename, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { WritableFolder } from '../data/folder.ts';
import { messageOf, UserError } from '../errors.ts';

/** Bytes that Node reads of a file at once: checkpoints of all weights may be larger. */
const LARGEST_READ = 2 ** 31;

/** A folder on disk, in Node and Deno. */
export class DiskFolder implements WritableFolder {
  readonly name: string;

  constructor(path: string) {
    this.name = path;
  }

  async exists(path: string): Promise<boolean> {
    try {
      await stat(join(this.name, path));
      return true;
    } catch {
      return false;
    }
  }

  async read(path: string): Promise<Uint8Array> {
    const file = join(this.name, path);
    try {
      const { size } = await stat(file);
      if (size >= LARGEST_READ) return await this.readRange(path, 0, size);
      const bytes = await readFile(file);
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    } catch (error) {
      throw unreadable(file, error);
    }
  }

  async size(path: string): Promise<number> {
    const file = join(this.name, path);
    try {
      return (await stat(file)).size;
    } catch (error) {
      throw unreadable(file, error);
    }
  }

  async readRange(path: string, begin: number, end: number): Promise<Uint8Array> {
    const file = join(this.name, path);
    const bytes = new Uint8Array(end - begin);
    try {
      const handle = await open(file, 'r');
      try {
        // One read gives at most 2 GiB.
        for (let at = 0; at < bytes.length; ) {
          const { bytesRead } = await handle.read(
            bytes,
            at,
            Math.min(bytes.length - at, 1 << 30),
            begin + at,
          );
          if (bytesRead === 0) throw new Error(`it ends before byte ${end}`);
          at += bytesRead;
        }
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw unreadable(file, error);
    }
    return bytes;
  }

  /** In hexadecimal; the file is never held whole. */
  async sha256(path: string): Promise<string> {
    const file = join(this.name, path);
    const hash = createHash('sha256');
    try {
      for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
    } catch (error) {
      throw unreadable(file, error);
    }
    return hash.digest('hex');
  }

  async readText(path: string): Promise<string> {
    return new TextDecoder().decode(await this.read(path));
  }

  /** The file is whole or as it was. */
  async write(path: string, content: Uint8Array | string): Promise<void> {
    const file = join(this.name, path);
    try {
      await makeFolder(dirname(file));
      await writeWhole(file, content);
    } catch (error) {
      throw unwritable(file, error);
    }
  }

  /** All of it, or nothing. */
  async append(path: string, content: string): Promise<void> {
    const file = join(this.name, path);
    try {
      await makeFolder(dirname(file));
      const size = (await this.exists(path)) ? await this.size(path) : 0;
      await appendFile(file, content).catch(async (error) => {
        await truncate(file, size).catch(() => {});
        throw error;
      });
    } catch (error) {
      throw unwritable(file, error);
    }
  }

  async remove(path: string): Promise<void> {
    const file = join(this.name, path);
    try {
      await rm(file, { recursive: true, force: true });
    } catch (error) {
      throw unwritable(file, error);
    }
  }
}

/** Writes a file, whole or not at all: what was there stays until the new one is on the disk. */
export async function writeWhole(file: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${file}.writing`;
  try {
    const handle = await open(temporary, 'w');
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
}

/** Makes a folder and those above it. Node's own way tries forever where none can be made, as below /proc. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'EEXIST') {
      if (!(await stat(path)).isDirectory()) throw Object.assign(new Error(path), { code: 'ENOTDIR' });
    } else if (code === 'ENOENT' && dirname(path) !== path) {
      await makeFolder(dirname(path));
      await mkdir(path).catch(async (again: Error & { code?: string }) => {
        if (again.code === 'ENOENT') throw new Error('no folder can be made there; choose another');
        // Another process may have made it meanwhile.
        if (again.code !== 'EEXIST') throw again;
      });
    } else throw error;
  }
}

/** A new folder among the system's temporary ones; its name begins with `prefix`. */
export async function temporaryFolder(
  prefix: string,
): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), prefix));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

function unreadable(file: string, error: unknown): UserError {
  const missing = (error as { code?: string }).code === 'ENOENT';
  return new UserError(
    missing ? `${file}: no such file` : `${file}: could not be read (${messageOf(error)})`,
  );
}

const MENDS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; make room, or choose a folder on another disk',
  EDQUOT: 'the quota on this disk is used up; make room, or choose a folder on another disk',
  ENOTDIR: 'what should be a folder is a file; choose another folder',
  EACCES: 'permission denied; choose a folder that you may write to',
  EPERM: 'not permitted; choose a folder that you may write to',
  EROFS: 'this disk cannot be written to; choose a folder on another',
};

/** What is told of a file that could not be written. */
export function unwritable(file: string, error: unknown): UserError {
  const reason = MENDS[(error as { code?: string }).code ?? ''] ?? messageOf(error);
  return new UserError(`${file}: could not be written (${reason})`);
}

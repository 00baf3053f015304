import { appendFile, mkdir, mkdtemp, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { WritableFolder } from '../data/folder.ts';
import { messageOf, UserError } from '../errors.ts';

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
      const bytes = await readFile(file);
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    } catch (error) {
      const missing = (error as { code?: string }).code === 'ENOENT';
      throw new UserError(
        missing ? `${file}: no such file` : `${file}: could not be read (${messageOf(error)})`,
      );
    }
  }

  async readText(path: string): Promise<string> {
    return new TextDecoder().decode(await this.read(path));
  }

  async write(path: string, content: Uint8Array | string): Promise<void> {
    const file = join(this.name, path);
    const temporary = `${file}.writing`;
    await mkdir(dirname(file), { recursive: true });
    const handle = await open(temporary, 'w');
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  }

  async append(path: string, content: string): Promise<void> {
    const file = join(this.name, path);
    await mkdir(dirname(file), { recursive: true });
    await appendFile(file, content);
  }

  async remove(path: string): Promise<void> {
    await rm(join(this.name, path), { recursive: true, force: true });
  }
}

/** A new folder among the system's temporary ones; its name begins with `prefix`. */
export async function temporaryFolder(
  prefix: string,
): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), prefix));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

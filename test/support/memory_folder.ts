import type { WritableFolder } from '../../src/data/folder.ts';
import { UserError } from '../../src/errors.ts';

/** A folder in memory. */
export class MemoryFolder implements WritableFolder {
  readonly name = 'memory';
  readonly files = new Map<string, Uint8Array>();

  async exists(path: string): Promise<boolean> {
    return this.files.has(path);
  }

  async read(path: string): Promise<Uint8Array> {
    const file = this.files.get(path);
    if (!file) throw new UserError(`${path}: no such file`);
    return file;
  }

  async size(path: string): Promise<number> {
    return (await this.read(path)).length;
  }

  async readRange(path: string, begin: number, end: number): Promise<Uint8Array> {
    return (await this.read(path)).slice(begin, end);
  }

  async readText(path: string): Promise<string> {
    return new TextDecoder().decode(await this.read(path));
  }

  async write(path: string, content: Uint8Array | string): Promise<void> {
    this.files.set(path, typeof content === 'string' ? new TextEncoder().encode(content) : content.slice());
  }

  async append(path: string, content: string): Promise<void> {
    await this.write(path, (this.files.has(path) ? await this.readText(path) : '') + content);
  }

  async remove(path: string): Promise<void> {
    for (const file of this.files.keys()) {
      if (file === path || file.startsWith(`${path}/`)) this.files.delete(file);
    }
  }
}

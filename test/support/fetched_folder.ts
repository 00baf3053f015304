import type { Folder } from '../../src/data/folder.ts';

/** A folder of a web server. */
export class FetchedFolder implements Folder {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  async exists(path: string): Promise<boolean> {
    return (await fetch(`${this.name}/${path}`, { method: 'HEAD' })).ok;
  }

  async read(path: string): Promise<Uint8Array> {
    return new Uint8Array(await (await fetch(`${this.name}/${path}`)).arrayBuffer());
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
}

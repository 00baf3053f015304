import type { WritableFolder } from '../../data/folder.ts';

/** What a run waits at while it is paused. */
export class Gate {
  #closed: { promise: Promise<void>; open: () => void } | undefined;

  get paused(): boolean {
    return this.#closed !== undefined;
  }

  close(): void {
    if (this.#closed) return;
    let open = () => {};
    const promise = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#closed = { promise, open };
  }

  open(): void {
    this.#closed?.open();
    this.#closed = undefined;
  }

  async pass(): Promise<void> {
    while (this.#closed) await this.#closed.promise;
  }
}

/**
 * The folder of a run that can be paused: whoever has written goes on once the gate is open, so that nothing made is lost
 * meanwhile. `wrote` is told of every file.
 */
export function gatedFolder(
  folder: WritableFolder,
  gate: Gate,
  wrote: (path: string, content: Uint8Array | string, how: 'write' | 'append') => void,
): WritableFolder {
  return {
    name: folder.name,
    exists: (path) => folder.exists(path),
    read: (path) => folder.read(path),
    readText: (path) => folder.readText(path),
    size: (path) => folder.size(path),
    readRange: (path, begin, end) => folder.readRange(path, begin, end),
    remove: (path) => folder.remove(path),
    async write(path, content) {
      await folder.write(path, content);
      wrote(path, content, 'write');
      await gate.pass();
    },
    async append(path, content) {
      await folder.append(path, content);
      wrote(path, content, 'append');
      await gate.pass();
    },
  };
}

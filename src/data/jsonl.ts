import { messageOf, UserError } from '../errors.ts';
import type { WritableFolder } from './folder.ts';

/** Rows of JSON Lines text; blank lines are passed over. `name` is how messages call the text. */
export function parseJsonl<T>(text: string, name: string, check: (row: unknown, line: number) => T): T[] {
  const rows: T[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    let row: unknown;
    try {
      row = JSON.parse(line);
    } catch (error) {
      throw new UserError(`${name}: line ${index + 1} is not JSON (${messageOf(error)})`);
    }
    rows.push(check(row, index + 1));
  }
  return rows;
}

export function toJsonl(rows: readonly unknown[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
}

/**
 * A JSON Lines file written block by block, so that a killed run goes on after its last whole block. Until `finish`,
 * rows stand in `<path>.partial`; a half-written line or block at its end is dropped on resuming.
 */
export class BlockLog<T> {
  readonly rows: T[] = [];
  #folder: WritableFolder;
  #path: string;
  #partial: string;

  private constructor(folder: WritableFolder, path: string) {
    this.#folder = folder;
    this.#path = path;
    this.#partial = `${path}.partial`;
  }

  /** Opens the log; rows of earlier whole blocks of `blockSize` rows stand in `rows`. */
  static async open<T>(folder: WritableFolder, path: string, blockSize: number): Promise<BlockLog<T>> {
    const log = new BlockLog<T>(folder, path);
    if (!(await folder.exists(log.#partial))) return log;
    const text = await folder.readText(log.#partial);
    const lines = text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .slice(0, -1);
    const whole = lines.slice(0, Math.floor(lines.length / blockSize) * blockSize);
    for (const line of whole) log.rows.push(JSON.parse(line) as T);
    await folder.write(log.#partial, whole.map((line) => `${line}\n`).join(''));
    return log;
  }

  async append(block: readonly T[]): Promise<void> {
    await this.#folder.append(this.#partial, toJsonl(block));
    this.rows.push(...block);
  }

  /** Puts the file in place under its own name. */
  async finish(): Promise<void> {
    await this.#folder.write(this.#path, toJsonl(this.rows));
    await this.#folder.remove(this.#partial);
  }
}

import type { ScoreTable } from '../dual/problem.ts';
import { messageOf, UserError } from '../errors.ts';

const ROW = '{"prompt": …, "reward": x, "safety": [g1, …]}';
/** Numbers that a column grows by. */
const BLOCK = 1 << 16;
/** No row of scores comes near this many characters; a file without line ends would else end up in memory as a whole. */
const LONGEST_ROW = 1 << 26;
/** A longer prompt is remembered by its hash. */
const LONGEST_KEY = 64;

/** Numbers appended one by one, in blocks, so that growing copies nothing. */
class Column {
  #blocks: Float64Array[] = [];
  length = 0;

  push(value: number): void {
    const at = this.length % BLOCK;
    if (at === 0) this.#blocks.push(new Float64Array(BLOCK));
    this.#blocks[this.#blocks.length - 1][at] = value;
    this.length++;
  }

  /** Calls `visit` with each number in turn and lets go of the blocks behind it. */
  drain(visit: (value: number, index: number) => void): void {
    for (let start = 0; start < this.length; start += BLOCK) {
      const block = this.#blocks.shift()!;
      const count = Math.min(BLOCK, this.length - start);
      for (let i = 0; i < count; i++) visit(block[i], start + i);
    }
  }
}

/** A row before it is checked. */
export interface ScoreRow {
  readonly prompt?: unknown;
  readonly reward?: unknown;
  readonly safety?: unknown;
  readonly weight?: unknown;
}

/** Whether reward, safety and weights come as f32, and can stay so. */
export interface Narrow {
  readonly reward: boolean;
  readonly safety: boolean;
}

/** Gathers rows, a response each, into a table. Rows of one prompt are its responses, wherever they stand. */
export class RowTable {
  #name: string;
  #narrow: Narrow;
  #prompts = new Map<string, number>();
  #promptOf = new Column();
  #reward = new Column();
  #safety: Column[] = [];
  #weight: Column | undefined;

  constructor(name: string, narrow: Narrow = { reward: false, safety: false }) {
    this.#name = name;
    this.#narrow = narrow;
  }

  /** Checks a row and takes it in; `number` counts from 1 and stands in errors. */
  add({ prompt, reward, safety, weight }: ScoreRow, number: number): void {
    const where = () => `${this.#name}: row ${number}`;
    if (typeof prompt !== 'string' && !Array.isArray(prompt)) {
      throw new UserError(`${where()}: expected "prompt" as a string or messages, got ${shown(prompt)}`);
    }
    if (typeof reward !== 'number' || !Number.isFinite(reward)) {
      throw new UserError(`${where()}: expected a finite number "reward", got ${shown(reward)}`);
    }
    const scores = typeof safety === 'number' ? [safety] : safety;
    if (!Array.isArray(scores) || scores.length === 0 || !scores.every(Number.isFinite)) {
      throw new UserError(`${where()}: expected "safety" as a list of finite numbers, got ${shown(safety)}`);
    }
    const first = this.#reward.length === 0;
    if (first) {
      this.#safety = scores.map(() => new Column());
      if (present(weight)) this.#weight = new Column();
    }
    if (scores.length !== this.#safety.length) {
      throw new UserError(
        `${where()}: expected ${this.#safety.length} safety scores as in the rows before, got ${scores.length}`,
      );
    }
    this.#addWeight(weight, where);
    this.#promptOf.push(this.#indexOf(prompt));
    this.#reward.push(reward);
    for (const [j, score] of scores.entries()) this.#safety[j].push(score);
  }

  #addWeight(weight: unknown, where: () => string): void {
    if (present(weight) !== (this.#weight !== undefined)) {
      throw new UserError(
        `${where()}: expected ${this.#weight ? 'a "weight"' : 'no "weight"'} as in the rows before, got ${shown(weight)}`,
      );
    }
    if (!this.#weight) return;
    if (typeof weight !== 'number' || !(weight >= 0 && Number.isFinite(weight))) {
      throw new UserError(`${where()}: expected a finite "weight" from 0 up, got ${shown(weight)}`);
    }
    this.#weight.push(weight);
  }

  #indexOf(prompt: string | readonly unknown[]): number {
    const text = typeof prompt === 'string' ? prompt : json(prompt);
    const key = text.length <= LONGEST_KEY ? text : hashed(text);
    let index = this.#prompts.get(key);
    if (index === undefined) {
      index = this.#prompts.size;
      this.#prompts.set(key, index);
    }
    return index;
  }

  /** The table of all rows; the last call. */
  finish(): ScoreTable {
    const total = this.#reward.length;
    if (total === 0) throw new UserError(`${this.#name}: expected rows ${ROW}, found none`);
    const N = this.#prompts.size;
    this.#prompts.clear();
    const promptOf = new Uint32Array(total);
    const responses = new Uint32Array(N);
    this.#promptOf.drain((prompt, i) => {
      promptOf[i] = prompt;
      responses[prompt]++;
    });
    const place = placesOf(promptOf, responses);
    const reward = this.#narrow.reward ? new Float32Array(total) : new Float64Array(total);
    this.#reward.drain((value, i) => {
      reward[place[i]] = value;
    });
    const m = this.#safety.length;
    const safety = this.#narrow.safety ? new Float32Array(m * total) : new Float64Array(m * total);
    for (const [j, column] of this.#safety.entries()) {
      column.drain((value, i) => {
        safety[j * total + place[i]] = value;
      });
    }
    let weights: Float64Array | undefined;
    if (this.#weight) {
      const values = new Float64Array(total);
      this.#weight.drain((value, i) => {
        values[place[i]] = value;
      });
      weights = values;
    }
    const even = responses.every((count) => count === responses[0]);
    return {
      reward,
      safety,
      prompts: N,
      responses: even ? responses[0] : responses,
      ...(weights ? { weights } : {}),
    };
  }
}

/** Turns the prompt of each row into the row's place in the table, in place. */
function placesOf(promptOf: Uint32Array, responses: Uint32Array): Uint32Array {
  const next = new Uint32Array(responses.length);
  for (let n = 1; n < next.length; n++) next[n] = next[n - 1] + responses[n - 1];
  for (let i = 0; i < promptOf.length; i++) promptOf[i] = next[promptOf[i]]++;
  return promptOf;
}

/** Reads JSON Lines, a row a line; other fields are passed over. */
export async function readRowScores(source: AsyncIterable<Uint8Array>, name: string): Promise<ScoreTable> {
  const table = new RowTable(name);
  const decoder = new TextDecoder();
  let rest = '';
  let line = 0;
  const add = (text: string) => {
    line++;
    if (text.trim() !== '') table.add(parseRow(text, `${name}: row ${line}`), line);
  };
  for await (const chunk of source) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const text of lines) add(text);
    if (rest.length > LONGEST_ROW) {
      throw new UserError(
        `${name}: row ${line + 1} is longer than ${LONGEST_ROW} characters; expected a row ${ROW} a line`,
      );
    }
  }
  add(rest + decoder.decode());
  return table.finish();
}

function parseRow(text: string, where: string): ScoreRow {
  let row: unknown;
  try {
    row = JSON.parse(text);
  } catch (error) {
    // Python's json module writes these words, which are not JSON.
    const word = /[:[,]\s*(NaN|-?Infinity)\b/.exec(text)?.[1];
    throw new UserError(
      word
        ? `${where}: expected finite scores, got ${word}`
        : `${where}: expected JSON, a row ${ROW} a line (${messageOf(error)})`,
    );
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row)) {
    throw new UserError(`${where}: expected an object ${ROW}, got ${shown(row)}`);
  }
  return row;
}

const present = (value: unknown) => value !== undefined && value !== null;

/** As JSON, also of the 64-bit integers that a parquet file may hold. */
function json(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? Number(part) : part));
}

export function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : typeof value === 'number' ? String(value) : json(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** Two 53-bit hashes of the text (cyrb53) and its length: even millions of prompts never share them by chance. */
function hashed(text: string): string {
  return `${text.length} ${cyrb53(text, 1)} ${cyrb53(text, 2)}`;
}

function cyrb53(text: string, seed: number): number {
  let a = 0xdeadbeef ^ seed;
  let b = 0x41c6ce57 ^ seed;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return 4294967296 * (b & 2097151) + (a >>> 0);
}

import type { ScoreTable } from '../dual/problem.ts';
import { messageOf, UserError } from '../errors.ts';
import { HashSet, json, keyOf } from './prompt_keys.ts';

const ROW = '{"prompt": …, "reward": x, "safety": [g1, …]}';
/** Numbers that a column grows by. */
const BLOCK = 1 << 16;
/** No row of scores comes near this many characters; a file without line ends would else end up in memory as a whole. */
const LONGEST_ROW = 1 << 26;
/** Rows from which on a table is given away where tables are not held. */
export const CHUNK_ROWS = 1 << 16;

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

/** Rows of a prompt came again after the table that held those before was given away. */
export class ScatteredRows extends Error {}

/** Gathers rows, a response each, into a table. Rows of one prompt are its responses, wherever they stand. */
export class RowTable {
  #name: string;
  #narrow: Narrow;
  #prompts = new Map<string, number>();
  #promptOf = new Column();
  #reward = new Column();
  #safety: Column[] = [];
  #weight: Column | undefined;
  #begun = false;
  #most: number;
  /** Prompts of the tables given away. */
  #gone = new HashSet();

  /** Gives tables away from `most` rows on, whole prompts each. */
  constructor(
    name: string,
    narrow: Narrow = { reward: false, safety: false },
    most: number = Number.POSITIVE_INFINITY,
  ) {
    this.#name = name;
    this.#narrow = narrow;
    this.#most = most;
  }

  /**
   * Checks a row and takes it in; `number` counts from 1 and stands in errors. The table of the rows before, where they
   * were enough and this one begins another prompt; ScatteredRows is thrown for a row of a prompt given away.
   */
  add({ prompt, reward, safety, weight }: ScoreRow, number: number): ScoreTable | undefined {
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
    if (!this.#begun) {
      this.#begun = true;
      this.#safety = scores.map(() => new Column());
      if (present(weight)) this.#weight = new Column();
    }
    if (scores.length !== this.#safety.length) {
      throw new UserError(
        `${where()}: expected ${this.#safety.length} safety scores as in the rows before, got ${scores.length}`,
      );
    }
    this.#checkWeight(weight, where);
    const key = keyOf(prompt);
    if (key === undefined)
      throw new UserError(`${where()}: expected "prompt" as a string or messages, got ${DEEP}`);
    let index = this.#prompts.get(key);
    let full: ScoreTable | undefined;
    if (index === undefined) {
      if (this.#gone.has(key)) throw new ScatteredRows();
      if (this.#reward.length >= this.#most) full = this.#giveAway();
      index = this.#prompts.size;
      this.#prompts.set(key, index);
    }
    this.#promptOf.push(index);
    this.#reward.push(reward);
    for (let j = 0; j < scores.length; j++) this.#safety[j].push(scores[j]);
    this.#weight?.push(weight as number);
    return full;
  }

  #giveAway(): ScoreTable {
    for (const key of this.#prompts.keys()) this.#gone.add(key);
    return this.#drain();
  }

  #checkWeight(weight: unknown, where: () => string): void {
    if (present(weight) !== (this.#weight !== undefined)) {
      throw new UserError(
        `${where()}: expected ${this.#weight ? 'a "weight"' : 'no "weight"'} as in the rows before, got ${shown(weight)}`,
      );
    }
    if (!this.#weight) return;
    if (typeof weight !== 'number' || !(weight >= 0 && Number.isFinite(weight))) {
      throw new UserError(`${where()}: expected a finite "weight" from 0 up, got ${shown(weight)}`);
    }
  }

  /** The table of the rows since the last one; the last call. */
  finish(): ScoreTable {
    if (!this.#begun) throw new UserError(`${this.#name}: expected rows ${ROW}, found none`);
    return this.#drain();
  }

  #drain(): ScoreTable {
    const total = this.#reward.length;
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
    this.#promptOf = new Column();
    this.#reward = new Column();
    this.#safety = this.#safety.map(() => new Column());
    if (this.#weight) this.#weight = new Column();
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
  for await (const lines of linesOf(source, name)) {
    for (const [text, line] of lines) table.add(parseRow(text, name, line), line);
  }
  return table.finish();
}

/** The table of rows that are parsed already. */
export function scoresOfRows(rows: readonly unknown[], name: string): ScoreTable {
  const table = new RowTable(name);
  for (const [i, row] of rows.entries()) table.add(checkedRow(row, `${name}: row ${i + 1}`), i + 1);
  return table.finish();
}

/** The same in tables of some rows each, whole prompts; throws ScatteredRows where rows of a prompt are far apart. */
export async function* readRowChunks(
  source: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<ScoreTable> {
  const table = new RowTable(name, undefined, CHUNK_ROWS);
  for await (const lines of linesOf(source, name)) {
    for (const [text, line] of lines) {
      const full = table.add(parseRow(text, name, line), line);
      if (full) yield full;
    }
  }
  yield table.finish();
}

/** The lines of each chunk that are not blank, with their numbers from 1. */
async function* linesOf(
  source: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Iterable<[text: string, line: number]>> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  let line = 0;
  function decoded(...[chunk, options]: Parameters<TextDecoder['decode']>): string {
    try {
      return decoder.decode(chunk, options);
    } catch {
      throw new UserError(`${name}: expected text in UTF-8, found other bytes; save it as UTF-8`);
    }
  }
  function* numbered(lines: readonly string[]): Generator<[string, number]> {
    for (const text of lines) {
      line++;
      if (text.trim() !== '') yield [text, line];
    }
  }
  for await (const chunk of source) {
    const lines = (rest + decoded(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    yield numbered(lines);
    if (rest.length > LONGEST_ROW) {
      throw new UserError(
        `${name}: row ${line + 1} is longer than ${LONGEST_ROW} characters; expected a row ${ROW} a line`,
      );
    }
  }
  yield numbered([rest + decoded()]);
}

function parseRow(text: string, name: string, line: number): ScoreRow {
  const where = `${name}: row ${line}`;
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
  return checkedRow(row, where);
}

function checkedRow(row: unknown, where: string): ScoreRow {
  if (typeof row === 'object' && row !== null && !Array.isArray(row)) return row;
  throw new UserError(`${where}: expected an object ${ROW}, got ${shown(row)}`);
}

const DEEP = 'lists within lists, too many to read';

const present = (value: unknown) => value !== undefined && value !== null;

export function shown(value: unknown): string {
  const text =
    value === undefined ? 'nothing' : typeof value === 'number' ? String(value) : (json(value) ?? DEEP);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

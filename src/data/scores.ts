import type { ScoreTable } from '../dual/problem.ts';
import { messageOf, UserError } from '../errors.ts';
import { parseSafetensors } from './safetensors.ts';

/** Numbers appended one by one. */
class Column {
  #values = new Float64Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) {
      const larger = new Float64Array(2 * this.length);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.length++] = value;
  }

  get values(): Float64Array {
    return this.#values.subarray(0, this.length);
  }
}

/**
 * Reads scores from JSON Lines, a row `{"prompt": …, "reward": x, "safety": [g1, …]}` per response, or from
 * safetensors with `reward` [N, K] and `safety` [m, N, K]. Rows of one prompt are its responses, wherever they stand;
 * other fields are passed over. `name` is how messages call the source.
 */
export async function readScores(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  name: string,
): Promise<ScoreTable> {
  let rows: RowReader | undefined;
  let size = 0;
  let parts: Uint8Array[] = [];
  for await (const chunk of source) {
    size += chunk.length;
    if (rows) rows.add(chunk);
    else parts.push(chunk);
    if (rows || size < LENGTH_FIELD || size - chunk.length >= LENGTH_FIELD) continue;
    const start = concatenate(parts);
    if (isBinary(start)) continue;
    rows = new RowReader(name);
    rows.add(start);
    parts = [];
  }
  if (rows) return rows.finish();
  if (size === 0) throw new UserError(`${name}: expected scores, found an empty file`);
  const bytes = concatenate(parts);
  if (isBinary(bytes)) return fromSafetensors(bytes, name);
  rows = new RowReader(name);
  rows.add(bytes);
  return rows.finish();
}

/** Bytes at the start of a safetensors file that give its header's length. */
const LENGTH_FIELD = 8;

/** The upper bytes of any real header's length are 0; text holds no such byte. */
function isBinary(start: Uint8Array): boolean {
  return start.subarray(0, LENGTH_FIELD).includes(0);
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

class RowReader {
  #name: string;
  #decoder = new TextDecoder();
  #rest = '';
  #line = 0;
  #constraints = 0;
  #prompts = new Map<string, number>();
  #promptOf = new Column();
  #reward = new Column();
  #safety = new Column();

  constructor(name: string) {
    this.#name = name;
  }

  add(chunk: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#row(line);
  }

  finish(): ScoreTable {
    this.#row(this.#rest + this.#decoder.decode());
    if (this.#reward.length === 0) {
      throw new UserError(
        `${this.#name}: expected rows {"prompt": …, "reward": x, "safety": [g1, …]}, found none`,
      );
    }
    return this.#table();
  }

  #row(text: string): void {
    this.#line++;
    if (text.trim() === '') return;
    const where = `${this.#name}: row ${this.#line}`;
    const { prompt, reward, safety } = parseRow(text, where);
    if (typeof prompt !== 'string' && !Array.isArray(prompt)) {
      throw new UserError(`${where}: expected "prompt" as a string or messages, got ${shown(prompt)}`);
    }
    if (typeof reward !== 'number' || !Number.isFinite(reward)) {
      throw new UserError(`${where}: expected a finite number "reward", got ${shown(reward)}`);
    }
    const scores = typeof safety === 'number' ? [safety] : safety;
    if (!Array.isArray(scores) || scores.length === 0 || !scores.every(Number.isFinite)) {
      throw new UserError(`${where}: expected "safety" as a list of finite numbers, got ${shown(safety)}`);
    }
    if (this.#constraints === 0) this.#constraints = scores.length;
    if (scores.length !== this.#constraints) {
      throw new UserError(
        `${where}: expected ${this.#constraints} safety scores as in the rows before, got ${scores.length}`,
      );
    }
    const key = typeof prompt === 'string' ? prompt : JSON.stringify(prompt);
    let index = this.#prompts.get(key);
    if (index === undefined) {
      index = this.#prompts.size;
      this.#prompts.set(key, index);
    }
    this.#promptOf.push(index);
    this.#reward.push(reward);
    for (const score of scores) this.#safety.push(score);
  }

  #table(): ScoreTable {
    const N = this.#prompts.size;
    const m = this.#constraints;
    const total = this.#reward.length;
    const promptOf = this.#promptOf.values;
    const counts = new Uint32Array(N);
    for (const prompt of promptOf) counts[prompt]++;
    const next = new Uint32Array(N);
    for (let n = 1; n < N; n++) next[n] = next[n - 1] + counts[n - 1];
    const reward = new Float64Array(total);
    const safety = new Float64Array(m * total);
    for (let i = 0; i < total; i++) {
      const at = next[promptOf[i]]++;
      reward[at] = this.#reward.values[i];
      for (let j = 0; j < m; j++) safety[j * total + at] = this.#safety.values[i * m + j];
    }
    const even = counts.every((count) => count === counts[0]);
    return { reward, safety, prompts: N, responses: even ? counts[0] : counts };
  }
}

function parseRow(text: string, where: string): Record<string, unknown> {
  let row: unknown;
  try {
    row = JSON.parse(text);
  } catch (error) {
    // Python's json module writes these words, which are not JSON.
    const word = /[:[,]\s*(NaN|-?Infinity)\b/.exec(text)?.[1];
    throw new UserError(
      word
        ? `${where}: expected finite scores, got ${word}`
        : `${where}: expected JSON (${messageOf(error)})`,
    );
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row)) {
    throw new UserError(`${where}: expected an object {"prompt": …, "reward": x, "safety": [g1, …]}`);
  }
  return row as Record<string, unknown>;
}

function shown(value: unknown): string {
  const text =
    value === undefined ? 'nothing' : typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function fromSafetensors(bytes: Uint8Array, name: string): ScoreTable {
  const { tensors } = parseSafetensors(bytes, name);
  const reward = tensors.get('reward');
  const safety = tensors.get('safety');
  if (!reward || !safety) {
    throw new UserError(
      `${name}: expected tensors "reward" [N, K] and "safety" [m, N, K], found ${[...tensors.keys()].join(', ') || 'none'}`,
    );
  }
  const [N, K] = reward.shape;
  const shape = safety.shape.slice(-2);
  const fits = reward.shape.length === 2 && shape[0] === N && shape[1] === K;
  if (!fits || safety.shape.length < 2 || safety.shape.length > 3) {
    throw new UserError(
      `${name}: expected "reward" [N, K] and "safety" [m, N, K], got [${reward.shape}] and [${safety.shape}]`,
    );
  }
  return { reward: reward.f64(), safety: safety.f64(), prompts: N, responses: K };
}

/** Rows of a source in the kernels' memory, as blocks that the kernels of assembly/dual/raw.ts take. */
import type { Kernels } from '../wasm.ts';
import { constraintsOf, type ScoreTable } from './problem.ts';
import { granted, type RawBlocks } from './raw_kernels.ts';
import { BLOCK } from './table.ts';

/** Responses to stage at a time, unless one block has more; and the most blocks. */
const ROOM = 1 << 19;
const MOST_BLOCKS = 512;
/** Words of a Raw, in the order of its fields. */
const RAW_WORDS = 10;
const FLAGS = { reward: 1, safety: 2, weights: 4, commonLogs: 8 };

/** A row of a chunk, and where its responses begin. */
export interface Place {
  readonly row: number;
  readonly at: number;
}

type Values = Float64Array | Float32Array;

/** Planes of numbers that rows are appended to: rewards, safety scores, or weights. */
class Planes {
  /** Where the first one begins. */
  start = 0;
  readonly size: 4 | 8;
  readonly count: number;

  constructor(like: Values, count: number) {
    this.size = like instanceof Float32Array ? 4 : 8;
    this.count = count;
  }
}

export class Staging {
  #kernels: Kernels;
  #constraints: number;
  #reward: Planes;
  #safety: Planes;
  #weights: Planes | undefined;
  #room: number;
  /** u32[MOST_BLOCKS·BLOCK], f64[MOST_BLOCKS·BLOCK], and f64[BLOCK] of what most rows have in common. */
  #counts: number;
  #logs: number;
  #commonLogs: number;
  #commonCount = 0;
  #rawList: number;
  #rawFields: number;
  #rows = 0;
  #responses = 0;

  /** For chunks like `like`. */
  constructor(kernels: Kernels, like: ScoreTable) {
    const { exports } = kernels;
    this.#kernels = kernels;
    this.#constraints = constraintsOf(like);
    this.#reward = new Planes(like.reward, 1);
    this.#safety = new Planes(like.safety, this.#constraints);
    this.#weights = like.weights && new Planes(like.weights, 1);
    this.#room = ROOM;
    this.#counts = granted(exports.allocate(4 * MOST_BLOCKS * BLOCK));
    this.#logs = granted(exports.allocate(8 * MOST_BLOCKS * BLOCK));
    this.#commonLogs = granted(exports.allocate(8 * BLOCK));
    this.#rawList = granted(exports.allocate(4 * MOST_BLOCKS));
    this.#rawFields = granted(exports.allocate(4 * RAW_WORDS * MOST_BLOCKS));
    const fields = this.#rawFields >>> 0;
    this.#words(this.#rawList, MOST_BLOCKS).set(
      Array.from({ length: MOST_BLOCKS }, (_, block) => fields + 4 * RAW_WORDS * block),
    );
    for (const planes of this.#planes()) this.#place(planes, this.#room);
  }

  *#planes(): Generator<Planes> {
    yield this.#reward;
    yield this.#safety;
    if (this.#weights) yield this.#weights;
  }

  #place(planes: Planes, room: number): void {
    planes.start = granted(this.#kernels.exports.allocate(planes.size * planes.count * room));
  }

  #words(pointer: number, length: number): Uint32Array {
    return new Uint32Array(this.#kernels.exports.memory.buffer, pointer >>> 0, length);
  }

  /** Appends rows of `chunk` from a place on, as far as there is room; says how far. */
  fill(chunk: ScoreTable, { row, at }: Place): Place {
    const { prompts, responses, reward, safety, weights } = chunk;
    const most = Math.min(prompts - row, MOST_BLOCKS * BLOCK - this.#rows);
    const room = this.#room - this.#responses;
    const counts = this.#words(this.#counts + 4 * this.#rows, most);
    let rows = 0;
    let size = 0;
    if (typeof responses === 'number') {
      rows = Math.min(most, Math.floor(room / responses));
      size = rows * responses;
      counts.fill(responses, 0, rows);
    } else {
      while (rows < most && size + responses[row + rows] <= room) size += responses[row + rows++];
      counts.set(responses.subarray(row, row + rows));
    }
    const total = reward.length;
    this.#copy(this.#reward, 0, reward.subarray(at, at + size));
    for (let j = 0; j < this.#constraints; j++) {
      this.#copy(this.#safety, j, safety.subarray(j * total + at, j * total + at + size));
    }
    if (this.#weights && weights) this.#copy(this.#weights, 0, weights.subarray(at, at + size));
    this.#rows += rows;
    this.#responses += size;
    return { row: row + rows, at: at + size };
  }

  #copy(planes: Planes, plane: number, values: Values): void {
    this.#view(planes, plane * this.#room + this.#responses, values.length).set(values);
  }

  /** The blocks that are whole; at the end of the source also the last one. None where there is no room for a block. */
  ready(atEnd: boolean): RawBlocks {
    const count = atEnd ? Math.ceil(this.#rows / BLOCK) : Math.floor(this.#rows / BLOCK);
    const rows = Math.min(count * BLOCK, this.#rows);
    const counts = this.#words(this.#counts, rows);
    const fields = new Int32Array(
      this.#kernels.exports.memory.buffer,
      this.#rawFields >>> 0,
      RAW_WORDS * count,
    );
    const at = (planes: Planes, first: number) => planes.start + planes.size * first;
    let first = 0;
    let largest = 0;
    let longest = 0;
    for (let block = 0; block < count; block++) {
      const row = block * BLOCK;
      const own = counts.subarray(row, row + BLOCK);
      let size = 0;
      let most = 0;
      for (const responses of own) {
        size += responses;
        if (responses > most) most = responses;
      }
      this.#commonCount ||= this.#setCommonLogs(own[0]);
      const common = !this.#weights && most === this.#commonCount && size === most * own.length;
      if (!common) this.#setLogs(row, own);
      const flags =
        (this.#reward.size === 4 ? FLAGS.reward : 0) |
        (this.#safety.size === 4 ? FLAGS.safety : 0) |
        (this.#weights?.size === 4 ? FLAGS.weights : 0) |
        (common ? FLAGS.commonLogs : 0);
      fields.set(
        [
          own.length,
          size,
          -1,
          flags,
          this.#counts + 4 * row,
          common ? this.#commonLogs : this.#logs + 8 * row,
          at(this.#reward, first),
          at(this.#safety, first),
          this.#weights ? at(this.#weights, first) : 0,
          this.#safety.size * this.#room,
        ],
        block * RAW_WORDS,
      );
      first += size;
      largest = Math.max(largest, size);
      longest = Math.max(longest, most);
    }
    return { raws: this.#rawList, count, rows, responses: first, largest, longest };
  }

  #setCommonLogs(count: number): number {
    const { exports, log } = this.#kernels;
    new Float64Array(exports.memory.buffer, this.#commonLogs >>> 0, BLOCK).fill(log(count));
    return count;
  }

  #setLogs(row: number, counts: Uint32Array): void {
    const { exports, log } = this.#kernels;
    const logs = new Float64Array(exports.memory.buffer, (this.#logs >>> 0) + 8 * row, counts.length);
    for (const [i, count] of counts.entries()) {
      logs[i] = i > 0 && count === counts[i - 1] ? logs[i - 1] : log(count);
    }
  }

  /** Forgets all rows. */
  clear(): void {
    this.#rows = 0;
    this.#responses = 0;
  }

  /** Forgets blocks that were ready; makes more room where there were none because none fits. */
  drop({ rows, responses }: RawBlocks): void {
    const left = this.#responses - responses;
    const room = rows === 0 ? 2 * this.#room : this.#room;
    for (const planes of this.#planes()) {
      const old = planes.start;
      if (rows === 0) this.#place(planes, room);
      for (let plane = 0; plane < planes.count; plane++) {
        const kept = this.#view(planes, plane * this.#room + responses, left, old);
        this.#view(planes, plane * room, left).set(kept);
      }
    }
    this.#words(this.#counts, this.#rows).copyWithin(0, rows);
    this.#room = room;
    this.#rows -= rows;
    this.#responses = left;
  }

  #view(planes: Planes, first: number, length: number, start = planes.start): Values {
    const View = planes.size === 4 ? Float32Array : Float64Array;
    return new View(this.#kernels.exports.memory.buffer, (start >>> 0) + planes.size * first, length);
  }

  /** The block of those ready that the kernels found a score out of bounds in, as a table, and the rows before it. */
  bad({ count }: RawBlocks): { table: ScoreTable; before: number } | undefined {
    const { memory } = this.#kernels.exports;
    const fields = new Int32Array(memory.buffer, this.#rawFields >>> 0, RAW_WORDS * count);
    for (let block = 0; block < count; block++) {
      const [rows, size, bad, , , , reward] = fields.subarray(block * RAW_WORDS);
      if (bad < 0) continue;
      const first = ((reward >>> 0) - (this.#reward.start >>> 0)) / this.#reward.size;
      const safety = new Float64Array(this.#constraints * size);
      for (let j = 0; j < this.#constraints; j++) {
        safety.set(this.#view(this.#safety, j * this.#room + first, size), j * size);
      }
      const table = {
        prompts: rows,
        responses: this.#words(this.#counts + 4 * BLOCK * block, rows),
        reward: this.#view(this.#reward, first, size),
        safety,
        ...(this.#weights ? { weights: this.#view(this.#weights, first, size) } : {}),
      };
      return { table, before: block * BLOCK };
    }
    return undefined;
  }
}

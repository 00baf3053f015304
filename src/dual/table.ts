import { UserError } from '../errors.ts';
import type { Kernels, WasmExports } from '../wasm.ts';
import { badScore, constraintsOf, responsesOf, type ScoreTable, withoutAbsent } from './problem.ts';
import { isShared, share } from './share.ts';
import { median } from './sums.ts';

/** Rows whose sums are added up one after another, as in assembly/dual/scores.ts. */
export const BLOCK = 256;
/** Addresses of 32 bits, less what else the memory holds. */
const MOST_BYTES = 0xf0000000;
/** Responses loaded at a time, by one thread or by several. */
const STAGED = 32768;
const STAGED_SHARED = 1 << 20;
/** The row out of bounds where there is none. */
const GOOD = 0xffffffff;
/** A row whose range is this many times the mean distorts the mean. */
const OUTLIER = 4;

/** What one pass over the scores tells. */
export interface Statistics {
  /** Means over prompts of max_k, min_k and mean_k of the reward. */
  readonly rewardTop: number;
  readonly rewardBottom: number;
  readonly reward: number;
  /** The range of a typical row's rewards. */
  readonly rewardRange: number;
  /** Mean of log K. */
  readonly logCount: number;
  /** The largest KL from the reference that any policy has: log K, or more where weights differ. */
  readonly mostKl: number;
  /** For each safety score: mean of the rows' middles, of their maxima, of their means; the largest range of a row. */
  readonly middle: readonly number[];
  readonly reachable: readonly number[];
  readonly safety: readonly number[];
  readonly safetyRange: readonly number[];
}

/** The unit of the objective: what a typical prompt can differ by. One response a prompt has none; any will do. */
export function unitOf({ rewardRange, logCount }: Statistics, beta: number): number {
  return rewardRange + beta * logCount || 1;
}

/** No policy that meets the thresholds has less of the objective, but for the mean of the largest rewards. */
export function leastOf({ rewardTop, rewardBottom, mostKl }: Statistics, beta: number): number {
  return rewardBottom - rewardTop - beta * mostKl;
}

/** Numbers of a pass's sums over rows: STATISTICS + SAFETY_STATISTICS·m of assembly/dual/scores.ts. */
export const statisticsWidth = (constraints: number) => 6 + 4 * constraints;

/** Whether one of these numbers is the largest of all rows, not a mean (assembly/dual/load.ts). */
export const isLargest = (statistic: number) =>
  statistic === 4 || (statistic >= statisticsWidth(0) && (statistic - statisticsWidth(0)) % 4 === 3);

/** Statistics from the means over rows; `medianRange` gives the median range of the rows' rewards. */
export function statisticsOf(
  values: Float64Array,
  constraints: number,
  medianRange: () => number,
): Statistics {
  const each = (offset: number) => Array.from({ length: constraints }, (_, j) => values[6 + 4 * j + offset]);
  const meanRange = values[0] - values[1];
  return {
    rewardTop: values[0],
    rewardBottom: values[1],
    reward: values[2],
    // A few prompts with huge ranges would carry the mean away.
    rewardRange: values[4] <= OUTLIER * meanRange ? meanRange : medianRange(),
    logCount: values[3],
    mostKl: values[5],
    middle: each(0),
    reachable: each(1),
    safety: each(2),
    safetyRange: each(3),
  };
}

/** A score table in Wasm memory, checked and centred. */
export class LoadedTable {
  readonly wasm: WasmExports;
  readonly prompts: number;
  readonly constraints: number;
  readonly weighted: boolean;
  /** Responses, and a pad for each odd row. */
  readonly elements: number;
  /** Number of blocks of rows. */
  readonly blocks: number;
  /** Where the kernels' Scores lie. */
  readonly scores: number;
  readonly statistics: Statistics;

  /**
   * Copies a table in; throws a UserError when a score is not a finite number. `mass[n]` is what prompt n's weights add
   * up to over their mean, where the table lacks responses that count: K, if left out. `before` prompts stand before it.
   */
  constructor(kernels: Kernels, whole: ScoreTable, mass?: ArrayLike<number>, before = 0) {
    const table = withoutAbsent(whole, before);
    const constraints = constraintsOf(table);
    const { prompts } = table;
    let elements = 0;
    let longest = 0;
    for (let n = 0; n < prompts; n++) {
      const padded = (responsesOf(table, n) + 1) & ~1;
      elements += padded;
      longest = Math.max(longest, padded);
    }
    this.wasm = kernels.exports;
    this.prompts = prompts;
    this.constraints = constraints;
    this.weighted = table.weights !== undefined;
    this.elements = elements;
    this.blocks = Math.ceil(prompts / BLOCK);
    const planes = 1 + constraints + (this.weighted ? 1 : 0);
    if (8 * elements * planes > MOST_BYTES) throw this.#tooLarge();
    this.scores = this.granted(
      this.wasm.createScores(prompts, constraints, elements, longest, this.weighted),
    );
    if (!this.#load(kernels, table, mass)) throw badScore(whole, before);
    this.statistics = this.#statistics();
  }

  #tooLarge(): UserError {
    return new UserError(
      `scores: ${this.elements} responses with ${1 + this.constraints} scores each do not fit into memory; ` +
        'take fewer prompts or responses',
    );
  }

  /** A pointer that the kernels gave; throws a UserError where they ran out of memory. */
  granted(pointer: number): number {
    if (pointer === 0) throw this.#tooLarge();
    return pointer;
  }

  // Wasm hands out pointers as signed numbers.

  floats(pointer: number, length: number): Float64Array {
    return new Float64Array(this.wasm.memory.buffer, pointer >>> 0, length);
  }

  words(pointer: number, length: number): Uint32Array {
    return new Uint32Array(this.wasm.memory.buffer, pointer >>> 0, length);
  }

  /** False when a score or weight is out of bounds. */
  #load(kernels: Kernels, table: ScoreTable, mass?: ArrayLike<number>): boolean {
    const wasm = this.wasm;
    const { prompts, reward, safety, weights } = table;
    const m = this.constraints;
    const start = this.words(wasm.startOf(this.scores), prompts);
    const count = this.words(wasm.countOf(this.scores), prompts);
    const logCount = this.floats(wasm.logCountOf(this.scores), prompts);
    let at = 0;
    let most = 0;
    let last = 0;
    for (let n = 0; n < prompts; n++) {
      const K = responsesOf(table, n);
      const all = mass ? mass[n] : K;
      start[n] = at;
      count[n] = K;
      logCount[n] = all === last ? logCount[n - 1] : kernels.log(all);
      last = all;
      at += (K + 1) & ~1;
      most = Math.max(most, K);
    }
    const mark = wasm.mark();
    const shared = isShared(kernels, this.elements);
    const room = shared ? STAGED_SHARED : STAGED;
    const plane = 8 * Math.max(most, Math.min(room, this.elements));
    const staging = this.granted(wasm.allocate(plane * (2 + m)));
    const weightsAt = staging + plane * (1 + m);
    const from = this.granted(wasm.allocate(4 * this.blocks));
    const bad = this.granted(wasm.allocate(4));
    const single = [isSingle(reward), isSingle(safety), isSingle(weights)] as const;
    // Growth may have replaced the memory's buffer.
    this.words(bad, 1)[0] = GOOD;
    const counts = this.words(wasm.countOf(this.scores), prompts);
    let first = 0;
    for (let row = 0; row < prompts; ) {
      const { end, responses } = pieceOf(counts, row, room);
      const last = first + responses;
      this.#copy(reward, first, last, staging);
      for (let j = 0; j < m; j++) {
        const start = j * reward.length;
        this.#copy(safety, start + first, start + last, staging + plane * (1 + j));
      }
      if (weights) this.#copy(weights, first, last, weightsAt);
      const staged = [staging, staging + plane, weightsAt, plane, ...single] as const;
      if (end - row > BLOCK) {
        const blocks = offsetsOf(counts, row, end);
        this.words(from, blocks.length).set(blocks);
        const args = [this.scores, row / BLOCK, from, ...staged, bad];
        share(kernels, 'loadShare', blocks.length, responses, args);
        if (this.words(bad, 1)[0] !== GOOD) return false;
      } else if (wasm.loadRows(this.scores, row, end, ...staged) >= 0) return false;
      first = last;
      row = end;
    }
    wasm.release(mark);
    wasm.finishLoad(this.scores);
    return true;
  }

  #copy(values: Float64Array | Float32Array, from: number, to: number, pointer: number): void {
    const { buffer } = this.wasm.memory;
    const view = values instanceof Float32Array ? Float32Array : Float64Array;
    new view(buffer, pointer >>> 0, to - from).set(values.subarray(from, to));
  }

  #statistics(): Statistics {
    const values = this.floats(this.wasm.statisticsOf(this.scores), statisticsWidth(this.constraints));
    return statisticsOf(values, this.constraints, () =>
      median(this.floats(this.wasm.rewardRangeOf(this.scores), this.prompts).slice()),
    );
  }

  /** Mean of safety score j of each prompt's reference samples. */
  rowMeans(j: number): Float64Array {
    return this.floats(this.wasm.meanOf(this.scores) + 8 * j * this.prompts, this.prompts).slice();
  }
}

const isSingle = (values: unknown) => Number(values instanceof Float32Array);

/** Rows from `row` on with up to `room` responses in all, or one that has more: whole blocks, or a part of one block. */
function pieceOf(counts: Uint32Array, row: number, room: number): { end: number; responses: number } {
  const edge = row - (row % BLOCK) + BLOCK;
  const last = row % BLOCK === 0 ? counts.length : Math.min(edge, counts.length);
  const piece = { end: row, responses: 0 };
  let responses = 0;
  for (let end = row; end < last && (end === row || responses + counts[end] <= room); ) {
    responses += counts[end++];
    if (end > edge && end % BLOCK !== 0 && end !== counts.length) continue;
    piece.end = end;
    piece.responses = responses;
  }
  return piece;
}

/** For each block of the rows from `row` to `end` the number of responses before it. */
function offsetsOf(counts: Uint32Array, row: number, end: number): number[] {
  const offsets: number[] = [];
  let before = 0;
  for (let n = row; n < end; n++) {
    if (n % BLOCK === 0) offsets.push(before);
    before += counts[n];
  }
  return offsets;
}

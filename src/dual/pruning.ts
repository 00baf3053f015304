import type { WasmExports } from '../wasm.ts';
import { type Box, inside, radiusOf } from './box.ts';
import { COLUMN } from './described.ts';
import type { Part, Passes } from './passes.ts';
import { share } from './share.ts';

/** Prompts of the sample that gives a large table's first guess: this part of them, but within these bounds. */
const SAMPLE_PART = 1 / 16;
const SAMPLE_LEAST = 64;
const SAMPLE_MOST = 2048;
/** Dropping responses has to leave less than this part to be worth its own pass. */
const WORTH_PRUNING = 0.6;

/** A table without the responses that no policy with λ in the box uses. */
export interface PrunedTable extends Part, Box {
  readonly beta: number;
}

/** The box around a sample's λ, and the table pruned to it where that is worth its pass. */
export interface Guess extends Box {
  readonly pruned?: PrunedTable;
}

/** Prunes a table to where λ will be, so that passes go over the responses that count alone. */
export class Pruning {
  #passes: Passes;
  #wasm: WasmExports;
  #radius: number;
  /** Memory between these holds the last sample and pruned table, unless others allocated after it. */
  #start: number;
  #end: number;
  #pruned: PrunedTable | undefined;

  constructor(passes: Passes) {
    const { wasm, constraints } = passes.table;
    this.#passes = passes;
    this.#wasm = wasm;
    this.#radius = passes.table.granted(wasm.allocate(8 * constraints));
    this.#start = wasm.mark();
    this.#end = this.#start;
  }

  #forget(): void {
    this.#pruned = undefined;
    if (this.#wasm.mark() === this.#end) this.#wasm.release(this.#start);
    this.#end = this.#wasm.mark();
  }

  /** Takes a pruned table that has proved good for `at`. */
  use(pruned: PrunedTable): void {
    this.#pruned = pruned;
  }

  /** The pruned table, if it serves at this β: weights count for less the smaller β is. */
  at(beta: number): PrunedTable | undefined {
    const pruned = this.#pruned;
    if (!pruned) return undefined;
    const { weighted } = this.#passes.table;
    return (weighted ? beta === pruned.beta : beta <= pruned.beta) ? pruned : undefined;
  }

  /**
   * Where a sample of the prompts says that the λ of all of them is. Undefined where the table is too small for one, or
   * it has no λ to speak of.
   */
  guess(beta: number, thresholds: readonly number[]): Guess | undefined {
    const passes = this.#passes;
    const { statistics, newton, table } = passes;
    this.#forget();
    const wanted = Math.min(SAMPLE_MOST, Math.max(SAMPLE_LEAST, table.prompts * SAMPLE_PART));
    const step = Math.floor(table.prompts / wanted);
    if (step < 2) return undefined;
    const rows = Math.ceil(table.prompts / step);
    const scores = table.granted(this.#wasm.sampleRows(table.scores, step));
    const sample = { scores, prompts: rows, elements: Math.ceil(table.elements / step) };
    // With the middles of all rows, only what the sampled rows do within their ranges is a guess.
    newton.aim(
      statistics,
      beta,
      thresholds,
      thresholds.map(() => 0),
    );
    const { status, lambda } = passes.searchOnly(sample);
    if (status !== 'converged') return undefined;
    const m = thresholds.length;
    const hessian = table.floats(this.#wasm.hessianOf(newton.pointer), m * m).slice();
    passes.describe(sample, beta, lambda);
    const middles = table.floats(this.#wasm.middleOf(scores), rows * m);
    const radius = lambda.map((_, j) => {
      const off = passes.column(COLUMN.safety + j, rows).map((value, n) => value - middles[j * rows + n]);
      return radiusOf(off, hessian[j * m + j]);
    });
    if (!radius.every(Number.isFinite)) return undefined;
    const box = { centre: lambda, radius };
    const pruned = this.#prune(scores, beta, box);
    this.#end = this.#wasm.mark();
    return { ...box, ...(pruned ? { pruned } : {}) };
  }

  /** Prunes to a box for `at`; does nothing where it would drop too few. */
  focus(beta: number, box: Box): void {
    const { table } = this.#passes;
    this.#forget();
    const step = Math.max(1, Math.floor(table.prompts / SAMPLE_LEAST));
    const sample = table.granted(this.#wasm.sampleRows(table.scores, step));
    this.#pruned = this.#prune(sample, beta, box);
    this.#end = this.#wasm.mark();
  }

  /** The part of the responses of a table that policies in a box use. */
  keptPart(scores: number, beta: number, { centre, radius }: Box): number {
    const { table, newton, scratch } = this.#passes;
    const at = newton.setLambda(centre);
    table.floats(this.#radius, centre.length).set(radius);
    return this.#wasm.keptPart(scores, scratch, at, this.#radius, beta);
  }

  /** The table pruned to a box; undefined where `sample` says that too much would stay. */
  #prune(sample: number, beta: number, { centre, radius }: Box): PrunedTable | undefined {
    const { kernels, newton, table, whole } = this.#passes;
    const { scores, prompts, elements } = whole;
    const part = this.keptPart(sample, beta, { centre, radius });
    if (part >= WORTH_PRUNING) return undefined;
    // Rows differ: room for a fifth more than the sample kept, and for a pad a row.
    const capacity = Math.min(elements, Math.ceil(elements * part * 1.2) + 2 * prompts);
    const pruning = this.#wasm.createPruning(scores, capacity);
    if (pruning === 0) return undefined;
    const args = [scores, pruning, this.#wasm.lambdaOf(newton.pointer), this.#radius, beta];
    share(kernels, 'pruneShare', table.blocks, elements, args, this.#passes.lanes);
    const pruned = this.#wasm.finishPruning(pruning);
    if (pruned === 0) return undefined;
    return { scores: pruned, prompts, elements: Math.ceil(elements * part), beta, centre, radius };
  }

  /** The smallest table that is exact at λ. */
  tableAt(beta: number, lambda: readonly number[]): Part {
    const pruned = this.at(beta);
    return pruned && inside(pruned, lambda) ? pruned : this.#passes.whole;
  }
}

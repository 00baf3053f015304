import type { Scratch } from '../pool.ts';
import type { Kernels, WasmExports } from '../wasm.ts';
import { COLUMN, columnsOf, type DescribedRows, type Outcome, type Prediction } from './described.ts';
import { evaluationWidth, Newton, type SearchStatus } from './newton.ts';
import type { ScoreTable } from './problem.ts';
import { createLanes, share } from './share.ts';
import { median, pairwiseSum } from './sums.ts';
import { BLOCK, LoadedTable, type Statistics } from './table.ts';

/** How often evaluations count each row, where resamples have a list. */
const EACH_ONCE = 0;

/** A table in the kernels' memory: all of what was loaded, or a part of it. */
export interface Part {
  readonly scores: number;
  readonly prompts: number;
  /** About how many responses it holds. */
  readonly elements: number;
}

export interface Search {
  readonly status: SearchStatus;
  readonly lambda: number[];
  readonly evaluations: number;
  /** At λ, where the search has it. */
  readonly outcome?: Outcome;
}

/** A loaded table and the kernels' passes over it, or over a part of it, at the λ that `newton` holds. */
export class Passes implements DescribedRows {
  readonly kernels: Kernels;
  readonly table: LoadedTable;
  readonly statistics: Statistics;
  readonly newton: Newton;
  readonly whole: Part;
  /** A Scratch for each thread. */
  readonly lanes: Scratch;
  /** That of this thread. */
  readonly scratch: number;
  /** Rows as `describeRows` writes them, of the last description. */
  readonly rows: number;
  #wasm: WasmExports;
  #constraints: number;
  #partial: number;

  /** Copies a table in; throws a UserError when a score is not a finite number. */
  constructor(kernels: Kernels, scores: ScoreTable) {
    const table = new LoadedTable(kernels, scores);
    const { wasm, prompts, constraints } = table;
    this.kernels = kernels;
    this.table = table;
    this.statistics = table.statistics;
    this.#wasm = wasm;
    this.#constraints = constraints;
    this.lanes = createLanes(kernels, table.elements, () => wasm.createScratch(table.scores, BLOCK));
    this.scratch = table.words(table.granted(this.lanes.start), 1)[0];
    this.newton = new Newton(wasm, constraints);
    table.granted(this.newton.pointer);
    this.#partial = table.granted(wasm.allocate(8 * evaluationWidth(constraints) * table.blocks));
    this.rows = table.granted(wasm.allocate(8 * columnsOf(constraints) * prompts));
    this.whole = { scores: table.scores, prompts, elements: table.elements };
  }

  /** Value, gradient and Hessian, which `newton` takes; rows described to `out`, unless it is 0. */
  evaluate({ scores, prompts, elements }: Part, beta: number, out: number): void {
    const lambda = this.#wasm.lambdaOf(this.newton.pointer);
    const blocks = Math.ceil(prompts / BLOCK);
    const args = [scores, lambda, beta, this.#partial, out, EACH_ONCE];
    share(this.kernels, 'evaluateShare', blocks, elements, args, this.lanes);
    this.#wasm.sumBlocks(this.#partial, blocks, evaluationWidth(this.#constraints));
    this.newton.absorb(this.#partial, prompts);
  }

  /** The search that `newton` is aimed at, with what it finds at its λ where that costs no pass of its own. */
  search(part: Part): Search {
    const { described, ...found } = this.searchOnly(part, this.rows);
    return described ? { ...found, outcome: this.outcome() } : found;
  }

  /** The search; rows described to `out`, unless it is 0, where that costs no pass of its own. */
  searchOnly(part: Part, out = 0): Search & { readonly described: boolean } {
    const { newton } = this;
    let describes = false;
    for (const last of newton.wanted()) {
      describes = last && out !== 0;
      this.evaluate(part, newton.beta, describes ? out : 0);
    }
    return { ...newton.ended(), described: describes && newton.endsThere };
  }

  /** What the last evaluation, which described all rows, found. */
  outcome(): Outcome {
    const { prompts } = this.table;
    return { ...this.newton.evaluation(this.statistics.rewardTop), ...this.#prediction(prompts) };
  }

  /** What the policy at λ does. */
  describe({ scores, prompts, elements }: Part, beta: number, lambda: readonly number[]): Prediction {
    const args = [scores, this.newton.setLambda(lambda), beta, this.rows];
    share(this.kernels, 'describeShare', Math.ceil(prompts / BLOCK), elements, args, this.lanes);
    return this.#prediction(prompts);
  }

  #prediction(N: number): Prediction {
    const m = this.#constraints;
    const width = columnsOf(m);
    const rows = this.table.floats(this.rows, width * N);
    const mean = (column: number) => pairwiseSum(rows, N, column, width) / N;
    return {
      reward: mean(COLUMN.reward),
      safety: Array.from({ length: m }, (_, j) => mean(COLUMN.safety + j)),
      kl: mean(COLUMN.kl),
    };
  }

  rowMeans(j: number): Float64Array {
    return this.table.rowMeans(j);
  }

  /** A column of the last description, for each of `rows` prompts in order; until the next one overwrites it. */
  column(column: number, rows: number = this.table.prompts): Float64Array {
    const width = columnsOf(this.#constraints);
    const values = this.table.floats(this.rows, width * rows);
    const out = new Float64Array(rows);
    for (let n = 0; n < rows; n++) out[n] = values[n * width + column];
    return out;
  }

  /** Median effective sample size and mean KL of the policy at λ over about `rows` evenly spaced prompts. */
  sampleSize(beta: number, lambda: readonly number[], rows: number): { median: number; kl: number } {
    const wasm = this.#wasm;
    const { scores, prompts } = this.whole;
    const width = columnsOf(this.#constraints);
    const step = Math.max(1, Math.floor(prompts / rows));
    const ess: number[] = [];
    const kl: number[] = [];
    const at = wasm.mark();
    const out = this.table.granted(wasm.allocate(8 * width));
    const prices = this.newton.setLambda(lambda);
    for (let n = 0; n < prompts; n += step) {
      wasm.describeRows(scores, this.scratch, prices, beta, n, n + 1, out);
      const row = this.table.floats(out, width);
      kl.push(row[COLUMN.kl]);
      ess.push(row[COLUMN.ess]);
    }
    wasm.release(at);
    return { median: median(Float64Array.from(ess)), kl: pairwiseSum(kl) / kl.length };
  }

  /** mean_n max_k Σ_j u_j (g_j − thresholds_j). */
  support(direction: readonly number[], thresholds: readonly number[]): number {
    const { scores, blocks, elements, prompts } = this.table;
    const args = [scores, this.newton.setLambda(direction), this.#partial];
    share(this.kernels, 'supportShare', blocks, elements, args);
    this.#wasm.sumBlocks(this.#partial, blocks, 1);
    let value = this.table.floats(this.#partial, 1)[0] / prompts;
    for (let j = 0; j < this.#constraints; j++) {
      value += direction[j] * (this.statistics.middle[j] - thresholds[j]);
    }
    return value;
  }
}

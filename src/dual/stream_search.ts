import type { Kernels } from '../wasm.ts';
import { COLUMN, columnsOf, Described, type Outcome } from './described.ts';
import { evaluationWidth, Newton } from './newton.ts';
import type { Search } from './passes.ts';
import { granted, type Pass, type RawKernels } from './raw_kernels.ts';
import { pairwiseSum } from './sums.ts';
import { BLOCK, type Statistics } from './table.ts';

/** Rows that an evaluation described, and what it found. */
export interface DescribedOutcome {
  readonly outcome: Outcome;
  readonly rows: Described;
}

/** Searches and evaluations over raw blocks, each of them a pass over the source or over what was kept of it. */
export class StreamSearch {
  #kernels: Kernels;
  #raw: RawKernels;
  #newton: Newton;
  #constraints: number;
  #prompts: number;
  #blocks: number;
  /** Sums of each block. */
  #partial: number;
  #rows = { at: 0, bytes: 0 };
  #means: readonly Float64Array[];

  /** `means` are the means of the prompts' safety scores, where anybody asks for them. */
  constructor(
    kernels: Kernels,
    raw: RawKernels,
    constraints: number,
    prompts: number,
    means: readonly Float64Array[],
  ) {
    const { exports } = kernels;
    this.#kernels = kernels;
    this.#raw = raw;
    this.#newton = new Newton(exports, constraints);
    granted(this.#newton.pointer);
    this.#constraints = constraints;
    this.#prompts = prompts;
    this.#blocks = Math.ceil(prompts / BLOCK);
    this.#partial = granted(exports.allocate(8 * evaluationWidth(constraints) * this.#blocks));
    this.#means = means;
  }

  /**
   * Minimises the dual of the prompts with these statistics over `pass`, from `start`; `evaluated` are the sums of an
   * evaluation there, if there was one.
   */
  async search(
    pass: Pass,
    statistics: Statistics,
    beta: number,
    thresholds: readonly number[],
    start: readonly number[],
    evaluated?: Float64Array,
  ): Promise<Search & { described?: DescribedOutcome }> {
    const newton = this.#newton;
    newton.aim(statistics, beta, thresholds, start);
    let rows: Described | undefined;
    let sums = evaluated;
    for (const last of newton.wanted()) {
      if (sums) {
        this.#floats(this.#partial, sums.length).set(sums);
        newton.absorb(this.#partial, this.#prompts);
      } else rows = await this.#evaluate(pass, newton.beta, last);
      sums = undefined;
    }
    const found = newton.ended();
    if (!rows || !newton.endsThere) return found;
    return { ...found, described: this.#described(rows, statistics) };
  }

  /** D, ∇D and ∇²D at λ, with the rows described. */
  async evaluate(
    pass: Pass,
    statistics: Statistics,
    beta: number,
    thresholds: readonly number[],
    lambda: readonly number[],
  ): Promise<DescribedOutcome> {
    this.#newton.aim(statistics, beta, thresholds, lambda);
    // The search holds λ below a limit; an evaluation takes it as it is.
    this.#newton.setLambda(lambda);
    const rows = await this.#evaluate(pass, beta, true);
    return this.#described(rows!, statistics);
  }

  /** mean_n max_k Σ_j u_j (g_j − thresholds_j). */
  async support(
    pass: Pass,
    { middle }: Statistics,
    thresholds: readonly number[],
    direction: readonly number[],
  ): Promise<number> {
    const at = this.#newton.setLambda(direction);
    await pass.each((blocks, first) => {
      this.#raw.run('supportRawShare', blocks, [at, this.#partial + 8 * first]);
    });
    this.#kernels.exports.sumBlocks(this.#partial, this.#blocks, 1);
    const value = this.#floats(this.#partial, 1)[0] / this.#prompts;
    return direction.reduce((sum, u, j) => sum + u * (middle[j] - thresholds[j]), value);
  }

  async #evaluate(pass: Pass, beta: number, describe: boolean): Promise<Described | undefined> {
    const m = this.#constraints;
    const { exports } = this.#kernels;
    const lambda = exports.lambdaOf(this.#newton.pointer);
    const rows = describe ? new Described(this.#prompts, m, this.#means) : undefined;
    await pass.each((blocks, first) => {
      const size = columnsOf(m) * blocks.rows;
      const out = describe ? this.#roomForRows(8 * size) : 0;
      const partial = this.#partial + 8 * evaluationWidth(m) * first;
      this.#raw.run('evaluateRawShare', blocks, [lambda, beta, partial, out]);
      rows?.put(first, this.#floats(out, size));
    });
    exports.sumBlocks(this.#partial, this.#blocks, evaluationWidth(m));
    this.#newton.absorb(this.#partial, this.#prompts);
    return rows;
  }

  #floats(pointer: number, length: number): Float64Array {
    return new Float64Array(this.#kernels.exports.memory.buffer, pointer >>> 0, length);
  }

  #roomForRows(bytes: number): number {
    if (bytes > this.#rows.bytes) {
      this.#rows = { at: granted(this.#kernels.exports.allocate(bytes)), bytes };
    }
    return this.#rows.at;
  }

  #described(rows: Described, { rewardTop, middle }: Statistics): DescribedOutcome {
    const mean = (column: number) => pairwiseSum(rows.column(column)) / this.#prompts;
    const outcome = {
      ...this.#newton.evaluation(rewardTop),
      reward: mean(COLUMN.reward),
      safety: middle.map((_, j) => mean(COLUMN.safety + j)),
      kl: mean(COLUMN.kl),
    };
    return { outcome, rows };
  }
}

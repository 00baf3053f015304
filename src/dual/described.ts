import type { Evaluation } from './newton.ts';
import { BLOCK } from './table.ts';

/** The policy at one λ. */
export interface Prediction {
  /** E[r] and E[g_j]. */
  readonly reward: number;
  readonly safety: readonly number[];
  /** KL(π‖π_ref), mean over prompts; π_ref is even over the responses, or as their weights say. */
  readonly kl: number;
}

/** Evaluation and prediction at one λ. */
export type Outcome = Evaluation & Prediction;

/** Columns of a described row: E_p[r], KL, 1/Σp², then E_p[g_j] for each j, then Cov_p[r, g_j] for each j. */
export const COLUMN = { reward: 0, kl: 1, ess: 2, safety: 3 } as const;

/** Number of columns of a described row. */
export const columnsOf = (constraints: number): number => COLUMN.safety + 2 * constraints;

/** What the policy at one λ does on each prompt. */
export interface DescribedRows {
  /** COLUMN names the columns. */
  column(column: number): Float64Array;
  /** Mean of safety score j of each prompt's reference samples. */
  rowMeans(j: number): Float64Array;
}

/** Descriptions of rows that come block by block, a column at a time. */
export class Described implements DescribedRows {
  readonly prompts: number;
  #columns: Float64Array[];
  #means: readonly Float64Array[];

  /** `means` are what `rowMeans` gives. */
  constructor(prompts: number, constraints: number, means: readonly Float64Array[]) {
    this.prompts = prompts;
    this.#columns = Array.from({ length: columnsOf(constraints) }, () => new Float64Array(prompts));
    this.#means = means;
  }

  /** Takes the rows of some blocks from block `first` on, as `describeRows` writes them. */
  put(first: number, rows: Float64Array): void {
    const width = this.#columns.length;
    const row = first * BLOCK;
    for (const [c, column] of this.#columns.entries()) {
      for (let i = c, n = row; i < rows.length; i += width, n++) column[n] = rows[i];
    }
  }

  column(column: number): Float64Array {
    return this.#columns[column];
  }

  rowMeans(j: number): Float64Array {
    return this.#means[j];
  }
}

import { BLOCK } from './table.ts';
import { columnsOf, type DescribedRows } from './workspace.ts';

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

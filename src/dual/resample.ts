import type { Key } from '../random.ts';
import { columnsOf, type Workspace } from './workspace.ts';

/** The optimum of a resample. */
export interface Solution {
  readonly lambda: readonly number[];
  readonly value: number;
  /** Means of the columns of its policy. */
  readonly columns: ArrayLike<number>;
}

/** Bootstrap resamples of a workspace's prompts, one after another. */
export class Resample {
  #workspace: Workspace;
  /** f64[prompts]: how often each prompt is in the resample. */
  #times: number;
  /** Rows described at the λ of the last search. */
  #rows: number;

  constructor(workspace: Workspace) {
    const { table, prompts } = workspace;
    this.#workspace = workspace;
    this.#times = table.granted(table.wasm.allocate(8 * prompts));
    this.#rows = table.granted(table.wasm.allocate(8 * columnsOf(table.constraints) * prompts));
  }

  /** Draws the resample that the other methods refer to. */
  draw([key0, key1]: Key, replicate: number): void {
    const { table, prompts } = this.#workspace;
    table.wasm.drawTimes(this.#times, prompts, key0, key1, replicate);
  }

  #mean(pointer: number): number {
    const { table, prompts } = this.#workspace;
    return table.wasm.weightedSum(pointer, prompts, this.#times) / prompts;
  }

  #means(pointer: number): number[] {
    const { prompts, constraints } = this.#workspace;
    return Array.from({ length: constraints }, (_, j) => this.#mean(pointer + 8 * j * prompts));
  }

  /** Means of the safety scores of the reference samples. */
  safety(): number[] {
    const { table } = this.#workspace;
    return this.#means(table.wasm.meanOf(table.scores));
  }

  /** Means of the columns of the workspace's last description: the policy found on all prompts. */
  columns(): Float64Array {
    return this.#columns(this.#workspace.rows);
  }

  #columns(rows: number): Float64Array {
    const { table, prompts, constraints } = this.#workspace;
    const { wasm } = table;
    const width = columnsOf(constraints);
    const at = wasm.mark();
    const out = table.granted(wasm.allocate(8 * width));
    wasm.weightedSums(rows, prompts, width, this.#times, out);
    const means = table.floats(out, width).map((sum) => sum / prompts);
    wasm.release(at);
    return means;
  }

  /**
   * Minimises the dual from `start`; undefined where there is no minimum within bounds. `columns` are the means of the
   * columns at the λ found.
   */
  search(beta: number, thresholds: readonly number[], start: readonly number[]): Solution | undefined {
    const { table } = this.#workspace;
    const { wasm, scores } = table;
    const middle = this.#means(wasm.middleOf(scores));
    const found = this.#workspace.searchTimes(beta, thresholds, start, middle, this.#times, this.#rows);
    if (!found) return undefined;
    const value = found.value + this.#mean(wasm.topOf(scores));
    return { lambda: found.lambda, value, columns: this.#columns(this.#rows) };
  }
}

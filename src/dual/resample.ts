import type { Key } from '../random.ts';
import { COLUMN, type Workspace } from './workspace.ts';

/** Bootstrap resamples of a workspace's prompts, one after another. */
export class Resample {
  #workspace: Workspace;
  /** f64[prompts]: how often each prompt is in the resample. */
  #times: number;

  constructor(workspace: Workspace) {
    const { table, prompts } = workspace;
    this.#workspace = workspace;
    this.#times = table.granted(table.wasm.allocate(8 * prompts));
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

  /** Means of the columns of the workspace's last description. */
  columns(): Float64Array {
    const { table, prompts, constraints, rows } = this.#workspace;
    const { wasm } = table;
    const width = COLUMN.safety + constraints;
    const at = wasm.mark();
    const out = table.granted(wasm.allocate(8 * width));
    wasm.weightedSums(rows, prompts, width, this.#times, out);
    const means = table.floats(out, width).map((sum) => sum / prompts);
    wasm.release(at);
    return means;
  }

  /** Minimises the dual from `start`; undefined where there is no minimum within bounds. */
  search(
    beta: number,
    thresholds: readonly number[],
    start: readonly number[],
  ): { lambda: number[]; value: number } | undefined {
    const { table } = this.#workspace;
    const { wasm, scores } = table;
    const middle = this.#means(wasm.middleOf(scores));
    const found = this.#workspace.searchTimes(beta, thresholds, start, middle, this.#times);
    return found && { lambda: found.lambda, value: found.value + this.#mean(wasm.topOf(scores)) };
  }
}

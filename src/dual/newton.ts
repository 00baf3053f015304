import type { WasmExports } from '../wasm.ts';
import { leastOf, type Statistics, unitOf } from './table.ts';

/** The dual at one λ: value, gradient `[m]` and Hessian `[m][m]`. */
export interface Evaluation {
  readonly value: number;
  readonly gradient: readonly number[];
  readonly hessian: readonly (readonly number[])[];
}

export type SearchStatus = 'converged' | 'below' | 'diverged' | 'stopped';
const SEARCH_STATUS: readonly SearchStatus[] = ['stopped', 'converged', 'below', 'diverged', 'stopped'];

/** Numbers of a block's sums: value, gradient, lower triangle of the Hessian. */
export const evaluationWidth = (constraints: number) =>
  1 + constraints + (constraints * (constraints + 1)) / 2;

/** The projected Newton of assembly/dual/newton.ts, which asks for evaluations and leaves it to others to make them. */
export class Newton {
  /** Where the kernels' Newton lies; 0 where memory is exhausted. */
  readonly pointer: number;
  readonly #wasm: WasmExports;
  readonly #constraints: number;

  constructor(wasm: WasmExports, constraints: number) {
    this.#wasm = wasm;
    this.#constraints = constraints;
    this.pointer = wasm.createNewton(constraints);
  }

  // Wasm hands out pointers as signed numbers.
  #floats(pointer: number, length: number = this.#constraints): Float64Array {
    return new Float64Array(this.#wasm.memory.buffer, pointer >>> 0, length);
  }

  /** λ of the search or evaluation at hand. */
  get lambda(): Float64Array {
    return this.#floats(this.#wasm.lambdaOf(this.pointer));
  }

  /** The β of the evaluation wanted. */
  get beta(): number {
    return this.#wasm.betaOf(this.pointer);
  }

  /** Writes λ where the kernels look for it; returns where. */
  setLambda(lambda: readonly number[]): number {
    this.lambda.set(lambda);
    return this.#wasm.lambdaOf(this.pointer);
  }

  /** Sets where the next search starts, for rows with these statistics. */
  aim(statistics: Statistics, beta: number, thresholds: readonly number[], start: ArrayLike<number>): void {
    const wasm = this.#wasm;
    const offset = statistics.middle.map((value, j) => value - thresholds[j]);
    this.#floats(wasm.offsetOf(this.pointer)).set(offset);
    this.#floats(wasm.rangeOf(this.pointer)).set(statistics.safetyRange);
    this.lambda.set(start);
    wasm.begin(this.pointer, beta, unitOf(statistics, beta), leastOf(statistics, beta));
  }

  /**
   * The evaluations that the search asks for, each to be made at λ and β and told by `absorb` before the next one: whether
   * it should be the last one, so that it pays to describe the rows along with it.
   */
  *wanted(): Generator<boolean> {
    do yield this.#wasm.isLast(this.pointer) !== 0;
    while (this.#wasm.next(this.pointer));
  }

  /** Takes the sums of an evaluation over all rows. */
  absorb(sums: number, prompts: number): void {
    this.#wasm.absorb(this.pointer, sums, prompts);
  }

  /** Whether the last evaluation was the one at the λ found. */
  get endsThere(): boolean {
    return this.#wasm.endsThere(this.pointer) !== 0;
  }

  /** How the search ended. */
  ended(): { status: SearchStatus; lambda: number[]; evaluations: number } {
    return {
      status: SEARCH_STATUS[this.#wasm.statusOf(this.pointer)],
      lambda: Array.from(this.lambda),
      evaluations: this.#wasm.evaluationsOf(this.pointer),
    };
  }

  /** The last evaluation; `rewardTop` is the mean of the rows' largest rewards. */
  evaluation(rewardTop: number): Evaluation {
    const m = this.#constraints;
    const hessian = this.#floats(this.#wasm.hessianOf(this.pointer), m * m);
    return {
      value: this.#wasm.valueOf(this.pointer) + rewardTop,
      gradient: Array.from(this.#floats(this.#wasm.gradientOf(this.pointer))),
      hessian: Array.from({ length: m }, (_, i) => Array.from(hessian.subarray(i * m, (i + 1) * m))),
    };
  }
}

import { UserError } from '../errors.ts';
import type { Kernels, WasmExports } from '../wasm.ts';
import { constraintsOf, responsesOf, type ScoreTable } from './problem.ts';
import { pairwiseSum, quantile } from './sums.ts';

/** Rows of a block, as in assembly/dual/scores.ts. */
const BLOCK = 256;
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
  /** For each safety score: mean of the rows' middles, of their maxima, of their means; the largest range of a row. */
  readonly middle: readonly number[];
  readonly reachable: readonly number[];
  readonly safety: readonly number[];
  readonly safetyRange: readonly number[];
}

/** The policy at one λ. */
export interface Prediction {
  /** E[r] and E[g_j]. */
  readonly reward: number;
  readonly safety: readonly number[];
  /** KL(π‖π_ref), mean over prompts. */
  readonly kl: number;
  /** 1/Σp², for each prompt in order. */
  readonly ess: Float64Array;
  /** E_p[g_j] of prompt n at [n·m + j]. */
  readonly rowSafety: Float64Array;
}

export interface Evaluation {
  readonly value: number;
  readonly gradient: readonly number[];
  readonly hessian: readonly (readonly number[])[];
}

export type SearchStatus = 'converged' | 'below' | 'diverged' | 'stopped';
const SEARCH_STATUS: readonly SearchStatus[] = ['stopped', 'converged', 'below', 'diverged', 'stopped'];

/** A score table in Wasm memory, and the kernels that run over it. */
export class Workspace {
  readonly prompts: number;
  readonly constraints: number;
  readonly statistics: Statistics;
  #wasm: WasmExports;
  #scores: number;
  #scratch: number;
  #newton: number;
  #partial: number;
  #blocks: number;

  /** Copies a checked table in. */
  constructor(kernels: Kernels, table: ScoreTable) {
    const wasm = kernels.exports;
    const constraints = constraintsOf(table);
    const { prompts } = table;
    let elements = 0;
    let longest = 0;
    for (let n = 0; n < prompts; n++) {
      const padded = (responsesOf(table, n) + 1) & ~1;
      elements += padded;
      longest = Math.max(longest, padded);
    }
    const width = 1 + constraints + (constraints * (constraints + 1)) / 2;
    const bytes = 8 * elements * (1 + constraints);
    const tooLarge = () =>
      new UserError(`scores: ${bytes} bytes do not fit into memory; take fewer prompts or responses`);
    if (bytes > 0xf0000000) throw tooLarge();
    this.prompts = prompts;
    this.constraints = constraints;
    this.#wasm = wasm;
    this.#blocks = Math.ceil(prompts / BLOCK);
    this.#scores = wasm.createScores(prompts, constraints, elements, longest);
    if (this.#scores === 0) throw tooLarge();
    this.#scratch = wasm.createScratch(this.#scores, BLOCK);
    this.#newton = wasm.createNewton(constraints);
    this.#partial = wasm.allocate(8 * width * this.#blocks);
    if (this.#scratch === 0 || this.#newton === 0 || this.#partial === 0) throw tooLarge();
    this.#fill(kernels, table, elements);
    this.statistics = this.#prepare();
  }

  #floats(pointer: number, length: number): Float64Array {
    // Wasm hands out pointers as signed numbers.
    return new Float64Array(this.#wasm.memory.buffer, pointer >>> 0, length);
  }

  #fill(kernels: Kernels, table: ScoreTable, elements: number): void {
    const wasm = this.#wasm;
    const { prompts, reward, safety } = table;
    const start = new Uint32Array(wasm.memory.buffer, wasm.startOf(this.#scores) >>> 0, prompts + 1);
    const count = new Uint32Array(wasm.memory.buffer, wasm.countOf(this.#scores) >>> 0, prompts);
    const logCount = this.#floats(wasm.logCountOf(this.#scores), prompts);
    const rewards = this.#floats(wasm.rewardOf(this.#scores), elements);
    const safeties = this.#floats(wasm.safetyOf(this.#scores), elements * this.constraints);
    let at = 0;
    for (let n = 0; n < prompts; n++) {
      start[n] = at;
      count[n] = responsesOf(table, n);
      logCount[n] = n > 0 && count[n] === count[n - 1] ? logCount[n - 1] : kernels.log(count[n]);
      at += (count[n] + 1) & ~1;
    }
    start[prompts] = at;
    if (elements === reward.length) {
      rewards.set(reward);
      safeties.set(safety);
      return;
    }
    let from = 0;
    for (let n = 0; n < prompts; n++) {
      const end = from + count[n];
      rewards.set(reward.subarray(from, end), start[n]);
      for (let j = 0; j < this.constraints; j++) {
        const plane = j * reward.length;
        safeties.set(safety.subarray(plane + from, plane + end), j * elements + start[n]);
      }
      from = end;
    }
  }

  #prepare(): Statistics {
    const values = this.#floats(this.#wasm.prepare(this.#scores), 5 + 4 * this.constraints);
    const each = (offset: number) =>
      Array.from({ length: this.constraints }, (_, j) => values[5 + 4 * j + offset]);
    return {
      rewardTop: values[0],
      rewardBottom: values[1],
      reward: values[2],
      rewardRange: this.#typicalRange(values[0] - values[1], values[4]),
      logCount: values[3],
      middle: each(0),
      reachable: each(1),
      safety: each(2),
      safetyRange: each(3),
    };
  }

  /** The mean range, or the median where a few prompts with huge ranges would carry the mean away. */
  #typicalRange(mean: number, largest: number): number {
    if (largest <= OUTLIER * mean) return mean;
    const ranges = this.#floats(this.#wasm.rewardRangeOf(this.#scores), this.prompts).slice().sort();
    return quantile(ranges, 0.5);
  }

  /** The unit of the objective: what a typical prompt can differ by. One response a prompt has none; any will do. */
  unit(beta: number): number {
    return this.statistics.rewardRange + beta * this.statistics.logCount || 1;
  }

  /** Sets where the next evaluation or search starts. */
  #aim(beta: number, thresholds: readonly number[], start: ArrayLike<number>): void {
    const { middle, safetyRange, rewardTop, rewardBottom, logCount } = this.statistics;
    const m = this.constraints;
    this.#floats(this.#wasm.offsetOf(this.#newton), m).set(middle.map((value, j) => value - thresholds[j]));
    this.#floats(this.#wasm.rangeOf(this.#newton), m).set(safetyRange);
    this.#floats(this.#wasm.lambdaOf(this.#newton), m).set(start);
    this.#wasm.begin(this.#newton, beta, this.unit(beta), rewardBottom - rewardTop - beta * logCount);
  }

  /** Minimises the dual over λ ≥ 0 from `start`. */
  search(
    beta: number,
    thresholds: readonly number[],
    start: ArrayLike<number>,
  ): { status: SearchStatus; lambda: number[]; evaluations: number } {
    this.#aim(beta, thresholds, start);
    const status = this.#wasm.solve(this.#newton, this.#scores, this.#scratch, this.#partial);
    return {
      status: SEARCH_STATUS[status],
      lambda: Array.from(this.#floats(this.#wasm.lambdaOf(this.#newton), this.constraints)),
      evaluations: this.#wasm.evaluationsOf(this.#newton),
    };
  }

  /** D, ∇D and ∇²D at λ. */
  evaluate(beta: number, thresholds: readonly number[], lambda: readonly number[]): Evaluation {
    const m = this.constraints;
    const wasm = this.#wasm;
    this.#aim(beta, thresholds, lambda);
    // `begin` holds λ below the search's limit; an evaluation takes it as it is.
    this.#floats(wasm.lambdaOf(this.#newton), m).set(lambda);
    wasm.evaluateBlocks(
      this.#scores,
      this.#scratch,
      wasm.lambdaOf(this.#newton),
      beta,
      0,
      this.#blocks,
      this.#partial,
    );
    wasm.sumBlocks(this.#partial, this.#blocks, 1 + m + (m * (m + 1)) / 2);
    wasm.absorb(this.#newton, this.#partial, this.prompts);
    const hessian = this.#floats(wasm.hessianOf(this.#newton), m * m);
    return {
      value: wasm.valueOf(this.#newton) + this.statistics.rewardTop,
      gradient: Array.from(this.#floats(wasm.gradientOf(this.#newton), m)),
      hessian: Array.from({ length: m }, (_, i) => Array.from(hessian.subarray(i * m, (i + 1) * m))),
    };
  }

  /** What the policy at λ does. */
  describe(beta: number, lambda: readonly number[]): Prediction {
    const m = this.constraints;
    const N = this.prompts;
    const wasm = this.#wasm;
    const width = 4 + m;
    const at = wasm.mark();
    try {
      const out = wasm.allocate(8 * width * N);
      if (out === 0) throw new UserError('scores: out of memory; take fewer prompts or responses');
      this.#floats(wasm.lambdaOf(this.#newton), m).set(lambda);
      wasm.describeRows(this.#scores, this.#scratch, wasm.lambdaOf(this.#newton), beta, 0, N, out);
      const rows = this.#floats(out, width * N);
      const ess = new Float64Array(N);
      const rowSafety = new Float64Array(N * m);
      for (let n = 0; n < N; n++) {
        ess[n] = rows[n * width + 3];
        for (let j = 0; j < m; j++) rowSafety[n * m + j] = rows[n * width + 4 + j];
      }
      return {
        reward: pairwiseSum(rows, N, 1, width) / N,
        safety: Array.from({ length: m }, (_, j) => pairwiseSum(rows, N, 4 + j, width) / N),
        kl: pairwiseSum(rows, N, 2, width) / N,
        ess,
        rowSafety,
      };
    } finally {
      wasm.release(at);
    }
  }

  /** Median effective sample size and mean KL of the policy at λ over about `rows` evenly spaced prompts. */
  sampleSize(beta: number, lambda: readonly number[], rows: number): { median: number; kl: number } {
    const wasm = this.#wasm;
    const width = 4 + this.constraints;
    const step = Math.max(1, Math.floor(this.prompts / rows));
    const ess: number[] = [];
    const kl: number[] = [];
    const at = wasm.mark();
    const out = wasm.allocate(8 * width);
    this.#floats(wasm.lambdaOf(this.#newton), this.constraints).set(lambda);
    for (let n = 0; n < this.prompts; n += step) {
      wasm.describeRows(this.#scores, this.#scratch, wasm.lambdaOf(this.#newton), beta, n, n + 1, out);
      const row = this.#floats(out, width);
      kl.push(row[2]);
      ess.push(row[3]);
    }
    wasm.release(at);
    return { median: quantile(Float64Array.from(ess).sort(), 0.5), kl: pairwiseSum(kl) / kl.length };
  }

  /** mean_n max_k Σ_j u_j (g_j − thresholds_j). */
  support(direction: readonly number[], thresholds: readonly number[]): number {
    const wasm = this.#wasm;
    this.#floats(wasm.lambdaOf(this.#newton), this.constraints).set(direction);
    wasm.supportBlocks(this.#scores, wasm.lambdaOf(this.#newton), 0, this.#blocks, this.#partial);
    wasm.sumBlocks(this.#partial, this.#blocks, 1);
    let value = this.#floats(this.#partial, 1)[0] / this.prompts;
    for (let j = 0; j < this.constraints; j++) {
      value += direction[j] * (this.statistics.middle[j] - thresholds[j]);
    }
    return value;
  }
}

/** Tables from this size on get a memory of their own, which goes with them: a Wasm memory never shrinks. */
const OWN_MEMORY = 1 << 23;

/** Runs `use` on the table in Wasm memory and frees that memory. */
export function withWorkspace<T>(kernels: Kernels, table: ScoreTable, use: (workspace: Workspace) => T): T {
  const large = 8 * (table.reward.length + table.safety.length) >= OWN_MEMORY;
  const own = large ? kernels.fresh() : kernels;
  const at = own.exports.mark();
  try {
    return use(new Workspace(own, table));
  } finally {
    own.exports.release(at);
  }
}

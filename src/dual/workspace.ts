import type { Kernels } from '../wasm.ts';
import { type Box, inside } from './box.ts';
import type { DescribedRows, Outcome, Prediction } from './described.ts';
import { Passes, type Search } from './passes.ts';
import type { DualProblem, ScoreTable } from './problem.ts';
import { type PrunedTable, Pruning } from './pruning.ts';
import { type Resampling, replicate } from './replicates.ts';
import type { LoadedTable, Statistics } from './table.ts';

/** Smaller tables are searched as they are. */
const SAMPLED_ELEMENTS = 16384;

/** A loaded table to ask: searches, evaluations and predictions, over the fewest responses that give the answer. */
export class Workspace implements DescribedRows {
  readonly table: LoadedTable;
  readonly prompts: number;
  readonly constraints: number;
  readonly statistics: Statistics;
  #passes: Passes;
  #pruning: Pruning;

  /** Copies a table in; throws a UserError when a score is not a finite number. */
  constructor(kernels: Kernels, scores: ScoreTable) {
    this.#passes = new Passes(kernels, scores);
    this.#pruning = new Pruning(this.#passes);
    this.table = this.#passes.table;
    this.prompts = this.table.prompts;
    this.constraints = this.table.constraints;
    this.statistics = this.table.statistics;
  }

  /** Minimises the dual over λ ≥ 0, from `start` or from a guess. */
  search(beta: number, thresholds: readonly number[], start?: readonly number[]): Search {
    let from = start ?? thresholds.map(() => 0);
    const pruned = this.#pruning.at(beta);
    if (start && pruned && inside(pruned, start)) {
      const found = this.#prunedSearch(beta, thresholds, pruned, start);
      if (found) return found;
    }
    if (!start && this.table.elements >= SAMPLED_ELEMENTS) {
      const guess = this.#pruning.guess(beta, thresholds);
      if (guess) {
        from = guess.centre;
        const found = guess.pruned && this.#prunedSearch(beta, thresholds, guess.pruned, from);
        if (found) return found;
      }
    }
    this.#passes.newton.aim(this.statistics, beta, thresholds, from);
    return this.#passes.search(this.#passes.whole);
  }

  /** The search over a pruned table; undefined where it ends outside the box, where the table is not the whole truth. */
  #prunedSearch(
    beta: number,
    thresholds: readonly number[],
    pruned: PrunedTable,
    start: readonly number[],
  ): Search | undefined {
    this.#passes.newton.aim(this.statistics, beta, thresholds, start);
    const found = this.#passes.search(pruned);
    if (found.status !== 'converged' || !inside(pruned, found.lambda)) return undefined;
    this.#pruning.use(pruned);
    return found;
  }

  /** The λ of each evaluation of a search over the whole table, the last one λ*. */
  path(beta: number, thresholds: readonly number[], start: readonly number[]): number[][] {
    const { newton, whole } = this.#passes;
    const path: number[][] = [];
    newton.aim(this.statistics, beta, thresholds, start);
    for (const _ of newton.wanted()) {
      path.push(Array.from(newton.lambda));
      this.#passes.evaluate(whole, newton.beta, 0);
    }
    const { lambda } = newton.ended();
    const before = path[path.length - 1];
    if (lambda.some((value, j) => value !== before[j])) path.push(lambda);
    return path;
  }

  /**
   * Drops the responses that no policy with λ within `radius` of `centre` uses, for evaluations and searches that stay
   * in that box, at this β (or a smaller one, without weights). Does nothing where it would drop too few.
   */
  focus(beta: number, centre: readonly number[], radius: readonly number[]): void {
    this.#pruning.focus(beta, { centre, radius });
  }

  /** The part of the responses that policies in a box use. */
  keptPart(beta: number, box: Box): number {
    return this.#pruning.keptPart(this.table.scores, beta, box);
  }

  /** D, ∇D and ∇²D at λ, and what the policy there does. */
  evaluate(beta: number, thresholds: readonly number[], lambda: readonly number[]): Outcome {
    const { newton, rows } = this.#passes;
    newton.aim(this.statistics, beta, thresholds, lambda);
    // The search holds λ below a limit; an evaluation takes it as it is.
    newton.setLambda(lambda);
    this.#passes.evaluate(this.#pruning.tableAt(beta, lambda), beta, rows);
    return this.#passes.outcome();
  }

  /** What the policy at λ does. */
  describe(beta: number, lambda: readonly number[]): Prediction {
    return this.#passes.describe(this.#pruning.tableAt(beta, lambda), beta, lambda);
  }

  /** Resamples of the prompts, as `replicate` has them; the rows stand described at `start`. */
  replicate(
    problem: Pick<DualProblem, 'beta' | 'thresholds' | 'relative'>,
    start: readonly number[],
    resampling: Resampling,
  ): Float64Array {
    return replicate(this.#passes, this.#pruning.at(problem.beta), problem, start, resampling);
  }

  /** A column of the last description, for each prompt in order; until the next one overwrites it. */
  column(column: number): Float64Array {
    return this.#passes.column(column);
  }

  /** Mean of safety score j of each prompt's reference samples. */
  rowMeans(j: number): Float64Array {
    return this.#passes.rowMeans(j);
  }

  /** Median effective sample size and mean KL of the policy at λ over about `rows` evenly spaced prompts. */
  sampleSize(beta: number, lambda: readonly number[], rows: number): { median: number; kl: number } {
    return this.#passes.sampleSize(beta, lambda, rows);
  }

  /** mean_n max_k Σ_j u_j (g_j − thresholds_j). */
  support(direction: readonly number[], thresholds: readonly number[]): number {
    return this.#passes.support(direction, thresholds);
  }
}

/**
 * Tables from this size on get a memory of their own, which goes with them: a Wasm memory never shrinks. Not so with
 * threads, which share one memory.
 */
const OWN_MEMORY = 1 << 23;

/** Runs `use` on the table in Wasm memory and frees that memory. */
export function withWorkspace<T>(kernels: Kernels, table: ScoreTable, use: (workspace: Workspace) => T): T {
  const scores = table.reward.length + table.safety.length + (table.weights?.length ?? 0);
  const large = 8 * scores >= OWN_MEMORY;
  const own = large && !kernels.pool ? kernels.fresh() : kernels;
  const at = own.exports.mark();
  try {
    return use(new Workspace(own, table));
  } finally {
    own.exports.release(at);
  }
}

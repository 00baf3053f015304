import type { Scratch } from '../pool.ts';
import type { Key } from '../random.ts';
import type { Kernels, WasmExports } from '../wasm.ts';
import { type Evaluation, evaluationWidth, Newton, type SearchStatus } from './newton.ts';
import type { DualProblem, ScoreTable } from './problem.ts';
import { createLanes, share } from './share.ts';
import { median, pairwiseSum } from './sums.ts';
import { BLOCK, LoadedTable, leastOf, type Statistics, unitOf } from './table.ts';

/** Smaller tables are searched as they are. */
const SAMPLED_ELEMENTS = 16384;
/** Prompts of the sample that gives a large table's first guess: this part of them, but within these bounds. */
const SAMPLE_PART = 1 / 16;
const SAMPLE_LEAST = 64;
const SAMPLE_MOST = 2048;
/** Standard errors of the sample's λ that the box around it spans, either way. */
const BOX = 4;
/** Dropping responses has to leave less than this part to be worth its own pass. */
const WORTH_PRUNING = 0.6;

/** The policy at one λ. */
export interface Prediction {
  /** E[r] and E[g_j]. */
  readonly reward: number;
  readonly safety: readonly number[];
  /** KL(π‖π_ref), mean over prompts; π_ref is even over the responses, or as their weights say. */
  readonly kl: number;
}

/** Columns of a described row: E_p[r], KL, 1/Σp², then E_p[g_j] for each j, then Cov_p[r, g_j] for each j. */
export const COLUMN = { reward: 0, kl: 1, ess: 2, safety: 3 } as const;

/** How often evaluations count each row, where resamples have a list. */
const EACH_ONCE = 0;

/** Number of columns of a described row. */
export const columnsOf = (constraints: number): number => COLUMN.safety + 2 * constraints;

/** Numbers of a replicate: mean columns, thresholds asked, whether solved, value, λ, mean columns there. */
export const replicateWidth = (constraints: number): number =>
  2 * columnsOf(constraints) + 2 * constraints + 2;

/** Evaluation and prediction at one λ. */
export type Outcome = Evaluation & Prediction;

export interface Search {
  readonly status: SearchStatus;
  readonly lambda: number[];
  readonly evaluations: number;
  /** At λ, where the search has it. */
  readonly outcome?: Outcome;
}

/** A table in the kernels' memory: all of a workspace's, or a part of it. */
interface Part {
  readonly scores: number;
  readonly prompts: number;
  /** About how many responses it holds. */
  readonly elements: number;
}

/** A table without the responses that no policy with λ in the box around `centre` uses. */
interface PrunedTable extends Part {
  readonly beta: number;
  readonly centre: readonly number[];
  readonly radius: readonly number[];
}

/** What the policy at one λ does on each prompt. */
export interface DescribedRows {
  /** COLUMN names the columns. */
  column(column: number): Float64Array;
  /** Mean of safety score j of each prompt's reference samples. */
  rowMeans(j: number): Float64Array;
}

/** A loaded table and the kernels that run over it: searches, evaluations and predictions. */
export class Workspace implements DescribedRows {
  readonly table: LoadedTable;
  /** Rows as `describeRows` writes them, of the last description. */
  readonly rows: number;
  readonly prompts: number;
  readonly constraints: number;
  readonly statistics: Statistics;
  #kernels: Kernels;
  #wasm: WasmExports;
  /** A Scratch for each thread; the first one is that of this thread. */
  #lanes: Scratch;
  #scratch: number;
  #newton: Newton;
  #partial: number;
  #radius: number;
  /** Memory between these holds the last sample and pruned table, unless others allocated after it. */
  #start: number;
  #end: number;
  #whole: Part;
  #pruned: PrunedTable | undefined;

  /** Copies a table in; throws a UserError when a score is not a finite number. */
  constructor(kernels: Kernels, scores: ScoreTable) {
    const table = new LoadedTable(kernels, scores);
    const { wasm, prompts, constraints } = table;
    this.table = table;
    this.prompts = prompts;
    this.constraints = constraints;
    this.statistics = table.statistics;
    this.#kernels = kernels;
    this.#wasm = wasm;
    this.#lanes = createLanes(kernels, table.elements, () => wasm.createScratch(table.scores, BLOCK));
    this.#scratch = table.words(table.granted(this.#lanes.start), 1)[0];
    this.#newton = new Newton(wasm, constraints);
    table.granted(this.#newton.pointer);
    this.#partial = table.granted(wasm.allocate(8 * evaluationWidth(constraints) * table.blocks));
    this.#radius = table.granted(wasm.allocate(8 * constraints));
    this.rows = table.granted(wasm.allocate(8 * columnsOf(constraints) * prompts));
    this.#start = wasm.mark();
    this.#end = this.#start;
    this.#whole = { scores: table.scores, prompts, elements: table.elements };
  }

  #floats(pointer: number, length: number): Float64Array {
    return this.table.floats(pointer, length);
  }

  /** Value, gradient and Hessian at the λ at hand; rows described to `out`. */
  #evaluate({ scores, prompts, elements }: Part, beta: number, out: number): void {
    const lambda = this.#wasm.lambdaOf(this.#newton.pointer);
    const blocks = Math.ceil(prompts / BLOCK);
    const args = [scores, lambda, beta, this.#partial, out, EACH_ONCE];
    share(this.#kernels, 'evaluateShare', blocks, elements, args, this.#lanes);
    this.#wasm.sumBlocks(this.#partial, blocks, evaluationWidth(this.constraints));
  }

  /** Runs the search over a table, and describes its rows to `out` where that costs no pass of its own. */
  #solve(part: Part, out: number): Search & { described: boolean } {
    const newton = this.#newton;
    let describes = false;
    for (const last of newton.wanted()) {
      describes = last && out !== 0;
      this.#evaluate(part, newton.beta, describes ? out : 0);
      newton.absorb(this.#partial, part.prompts);
    }
    return { ...newton.ended(), described: describes && newton.endsThere };
  }

  /** The search over all prompts, with what it has found at its λ. */
  #search(part: Part): Search {
    const { described, ...found } = this.#solve(part, this.rows);
    return described ? { ...found, outcome: this.#outcome() } : found;
  }

  /** What the last evaluation, which described the rows, found. */
  #outcome(): Outcome {
    return { ...this.#newton.evaluation(this.statistics.rewardTop), ...this.#prediction(this.prompts) };
  }

  /** Minimises the dual over λ ≥ 0, from `start` or from a guess. */
  search(beta: number, thresholds: readonly number[], start?: readonly number[]): Search {
    let guess = start ?? thresholds.map(() => 0);
    const pruned = this.#prunedFor(beta);
    if (start && pruned && inBox(pruned, start)) {
      const found = this.#prunedSearch(beta, thresholds, pruned, start);
      if (found) return found;
    }
    if (!start && this.table.elements >= SAMPLED_ELEMENTS) {
      const sampled = this.#sampleSearch(beta, thresholds);
      if (sampled) {
        guess = sampled.centre;
        this.#end = this.#wasm.mark();
        const found = sampled.scores !== 0 && this.#prunedSearch(beta, thresholds, sampled);
        if (found) return found;
      }
    }
    this.#newton.aim(this.statistics, beta, thresholds, guess);
    return this.#search(this.#whole);
  }

  /** The λ of each evaluation of a search over the whole table, the last one λ*. */
  path(beta: number, thresholds: readonly number[], start: readonly number[]): number[][] {
    const newton = this.#newton;
    const path: number[][] = [];
    newton.aim(this.statistics, beta, thresholds, start);
    for (const _ of newton.wanted()) {
      path.push(Array.from(newton.lambda));
      this.#evaluate(this.#whole, newton.beta, 0);
      newton.absorb(this.#partial, this.prompts);
    }
    const { lambda } = newton.ended();
    const before = path[path.length - 1];
    if (lambda.some((value, j) => value !== before[j])) path.push(lambda);
    return path;
  }

  #forget(): void {
    this.#pruned = undefined;
    if (this.#wasm.mark() === this.#end) this.#wasm.release(this.#start);
    this.#end = this.#wasm.mark();
  }

  /**
   * λ of a sample of the prompts, and a table pruned to the box around it that should hold the λ of all of them;
   * `scores` is 0 where pruning is not worth its pass. Undefined where the sample has no λ to speak of.
   */
  #sampleSearch(beta: number, thresholds: readonly number[]): PrunedTable | undefined {
    const wasm = this.#wasm;
    const m = this.constraints;
    this.#forget();
    const wanted = Math.min(SAMPLE_MOST, Math.max(SAMPLE_LEAST, this.prompts * SAMPLE_PART));
    const step = Math.floor(this.prompts / wanted);
    if (step < 2) return undefined;
    const rows = Math.ceil(this.prompts / step);
    const scores = this.table.granted(wasm.sampleRows(this.table.scores, step));
    const sample = { scores, prompts: rows, elements: Math.ceil(this.table.elements / step) };
    // With the middles of all rows, only what the sampled rows do within their ranges is a guess.
    this.#newton.aim(
      this.statistics,
      beta,
      thresholds,
      thresholds.map(() => 0),
    );
    const { status, lambda } = this.#solve(sample, 0);
    if (status !== 'converged') return undefined;
    const hessian = this.#floats(wasm.hessianOf(this.#newton.pointer), m * m).slice();
    this.#describe(sample, beta, lambda);
    const middles = this.#floats(wasm.middleOf(scores), rows * m);
    const radius = lambda.map((_, j) => {
      const off = this.column(COLUMN.safety + j, rows).map((value, n) => value - middles[j * rows + n]);
      const mean = pairwiseSum(off) / rows;
      const squares = off.map((value) => (value - mean) * (value - mean));
      return (BOX * Math.sqrt(pairwiseSum(squares))) / rows / hessian[j * m + j];
    });
    if (!radius.every(Number.isFinite)) return undefined;
    return this.#prune(scores, beta, lambda, radius);
  }

  /**
   * Drops the responses that no policy with λ within `radius` of `centre` uses, for evaluations and searches that stay
   * in that box, at this β (or a smaller one, without weights). Does nothing where it would drop too few.
   */
  focus(beta: number, centre: readonly number[], radius: readonly number[]): void {
    const wasm = this.#wasm;
    this.#forget();
    const step = Math.max(1, Math.floor(this.prompts / SAMPLE_LEAST));
    const sample = this.table.granted(wasm.sampleRows(this.table.scores, step));
    const pruned = this.#prune(sample, beta, centre, radius);
    if (pruned.scores !== 0) this.#pruned = pruned;
    this.#end = wasm.mark();
  }

  /** The part of the responses that policies in a box use. */
  keptPart(beta: number, centre: readonly number[], radius: readonly number[]): number {
    return this.#keptPart(this.table.scores, beta, centre, radius);
  }

  #keptPart(scores: number, beta: number, centre: readonly number[], radius: readonly number[]): number {
    const at = this.#newton.setLambda(centre);
    this.#floats(this.#radius, this.constraints).set(radius);
    return this.#wasm.keptPart(scores, this.#scratch, at, this.#radius, beta);
  }

  /** The table pruned to a box; its `scores` are 0 where `sample` says that too much would stay. */
  #prune(sample: number, beta: number, centre: readonly number[], radius: readonly number[]): PrunedTable {
    const wasm = this.#wasm;
    const { scores, prompts, elements } = this.#whole;
    const part = this.#keptPart(sample, beta, centre, radius);
    const pruned = { prompts, elements: Math.ceil(elements * part), beta, centre, radius };
    if (part >= WORTH_PRUNING) return { ...pruned, scores: 0 };
    // Rows differ: room for a fifth more than the sample kept, and for a pad a row.
    const capacity = Math.min(elements, Math.ceil(elements * part * 1.2) + 2 * prompts);
    const pruning = wasm.createPruning(scores, capacity);
    if (pruning === 0) return { ...pruned, scores: 0 };
    const args = [scores, pruning, wasm.lambdaOf(this.#newton.pointer), this.#radius, beta];
    share(this.#kernels, 'pruneShare', this.table.blocks, elements, args, this.#lanes);
    return { ...pruned, scores: wasm.finishPruning(pruning) };
  }

  /** The search over a pruned table; undefined where it ends outside the box, where the table is not the whole truth. */
  #prunedSearch(
    beta: number,
    thresholds: readonly number[],
    pruned: PrunedTable,
    start: readonly number[] = pruned.centre,
  ): Search | undefined {
    this.#newton.aim(this.statistics, beta, thresholds, start);
    const found = this.#search(pruned);
    if (found.status !== 'converged' || !inBox(pruned, found.lambda)) return undefined;
    this.#pruned = pruned;
    return found;
  }

  /**
   * Solves resamples of the prompts, or only draws them; `rows` stand described at the λ that they start from. Returns
   * f64[replicates][replicateWidth], as assembly/dual/replicate.ts writes it.
   */
  replicate(
    { beta, thresholds, relative }: Pick<DualProblem, 'beta' | 'thresholds' | 'relative'>,
    start: readonly number[],
    [key0, key1]: Key,
    replicates: number,
    solved: boolean,
  ): Float64Array {
    const wasm = this.#wasm;
    const { table, statistics } = this;
    const at = wasm.mark();
    const pruned = this.#prunedFor(beta);
    const none = thresholds.map(() => 0);
    const settings = [
      start,
      thresholds,
      thresholds.map((_, j) => (relative?.[j] ? 1 : 0)),
      statistics.safety,
      statistics.safetyRange,
      pruned?.centre ?? none,
      pruned?.radius ?? none,
    ].flat();
    const settingsAt = table.granted(wasm.allocate(8 * settings.length));
    this.#floats(settingsAt, settings.length).set(settings);
    const width = replicateWidth(this.constraints);
    const out = table.granted(wasm.allocate(8 * width * replicates));
    const responses = this.table.elements * replicates;
    const lanes = createLanes(this.#kernels, responses, () => wasm.createBench(table.scores));
    table.granted(lanes.start);
    const unit = unitOf(statistics, beta);
    const least = leastOf(statistics, beta);
    const args = [table.scores, pruned?.scores ?? 0, this.rows, settingsAt, beta, unit, least, key0, key1];
    const more = [solved ? 1 : 0, out];
    share(this.#kernels, 'replicateShare', replicates, responses, [...args, ...more], lanes);
    const found = this.#floats(out, width * replicates).slice();
    wasm.release(at);
    return found;
  }

  /** The pruned table, if it serves at this β: weights count for less the smaller β is. */
  #prunedFor(beta: number): PrunedTable | undefined {
    const pruned = this.#pruned;
    if (!pruned) return undefined;
    return (this.table.weighted ? beta === pruned.beta : beta <= pruned.beta) ? pruned : undefined;
  }

  /** The smallest table that is exact at λ. */
  #tableAt(beta: number, lambda: readonly number[]): Part {
    const pruned = this.#prunedFor(beta);
    return pruned && inBox(pruned, lambda) ? pruned : this.#whole;
  }

  /** D, ∇D and ∇²D at λ, and what the policy there does. */
  evaluate(beta: number, thresholds: readonly number[], lambda: readonly number[]): Outcome {
    this.#newton.aim(this.statistics, beta, thresholds, lambda);
    // The search holds λ below a limit; an evaluation takes it as it is.
    this.#newton.setLambda(lambda);
    this.#evaluate(this.#tableAt(beta, lambda), beta, this.rows);
    this.#newton.absorb(this.#partial, this.prompts);
    return this.#outcome();
  }

  /** What the policy at λ does. */
  describe(beta: number, lambda: readonly number[]): Prediction {
    return this.#describe(this.#tableAt(beta, lambda), beta, lambda);
  }

  #describe(part: Part, beta: number, lambda: readonly number[]): Prediction {
    this.#describeTo(this.rows, part, beta, this.#newton.setLambda(lambda));
    return this.#prediction(part.prompts);
  }

  #describeTo(out: number, { scores, prompts, elements }: Part, beta: number, lambda: number): void {
    const blocks = Math.ceil(prompts / BLOCK);
    share(this.#kernels, 'describeShare', blocks, elements, [scores, lambda, beta, out], this.#lanes);
  }

  #prediction(N: number): Prediction {
    const m = this.constraints;
    const width = columnsOf(m);
    const rows = this.#floats(this.rows, width * N);
    const mean = (column: number) => pairwiseSum(rows, N, column, width) / N;
    return {
      reward: mean(COLUMN.reward),
      safety: Array.from({ length: m }, (_, j) => mean(COLUMN.safety + j)),
      kl: mean(COLUMN.kl),
    };
  }

  /** Mean of safety score j of each prompt's reference samples. */
  rowMeans(j: number): Float64Array {
    return this.table.rowMeans(j);
  }

  /** A column of the last description, for each of `rows` prompts in order; until the next one overwrites it. */
  column(column: number, rows: number = this.prompts): Float64Array {
    const width = columnsOf(this.constraints);
    const values = this.#floats(this.rows, width * rows);
    const out = new Float64Array(rows);
    for (let n = 0; n < rows; n++) out[n] = values[n * width + column];
    return out;
  }

  /** Median effective sample size and mean KL of the policy at λ over about `rows` evenly spaced prompts. */
  sampleSize(beta: number, lambda: readonly number[], rows: number): { median: number; kl: number } {
    const wasm = this.#wasm;
    const width = columnsOf(this.constraints);
    const step = Math.max(1, Math.floor(this.prompts / rows));
    const ess: number[] = [];
    const kl: number[] = [];
    const at = wasm.mark();
    const out = this.table.granted(wasm.allocate(8 * width));
    const prices = this.#newton.setLambda(lambda);
    for (let n = 0; n < this.prompts; n += step) {
      wasm.describeRows(this.table.scores, this.#scratch, prices, beta, n, n + 1, out);
      const row = this.#floats(out, width);
      kl.push(row[COLUMN.kl]);
      ess.push(row[COLUMN.ess]);
    }
    wasm.release(at);
    return { median: median(Float64Array.from(ess)), kl: pairwiseSum(kl) / kl.length };
  }

  /** mean_n max_k Σ_j u_j (g_j − thresholds_j). */
  support(direction: readonly number[], thresholds: readonly number[]): number {
    const wasm = this.#wasm;
    const { blocks, elements } = this.table;
    const args = [this.table.scores, this.#newton.setLambda(direction), this.#partial];
    share(this.#kernels, 'supportShare', blocks, elements, args);
    wasm.sumBlocks(this.#partial, blocks, 1);
    let value = this.#floats(this.#partial, 1)[0] / this.prompts;
    for (let j = 0; j < this.constraints; j++) {
      value += direction[j] * (this.statistics.middle[j] - thresholds[j]);
    }
    return value;
  }
}

function inBox({ centre, radius }: PrunedTable, lambda: readonly number[]): boolean {
  return lambda.every((value, j) => Math.abs(value - centre[j]) <= radius[j]);
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

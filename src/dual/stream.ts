/** The dual of a table that is read chunk by chunk and never held: a file, a network body, shards of a cluster. */
import { type Kernels, loadWasm } from '../wasm.ts';
import { evaluationWidth, Newton } from './newton.ts';
import {
  checkBeta,
  checkProblem,
  constraintsOf,
  type Limit,
  responsesOf,
  type ScoreSource,
  type ScoreTable,
  withoutAbsent,
} from './problem.ts';
import { joined, SLAB, slabsOf } from './slabs.ts';
import type { DualSolution } from './solution.ts';
import {
  directionOf,
  findMend,
  infeasibleSolution,
  isPlain,
  judge,
  optimise,
  outOfReach,
  solution,
  solveWith,
} from './solve.ts';
import { median, pairwiseSum } from './sums.ts';
import { BLOCK, LoadedTable, type Statistics, statisticsOf, statisticsWidth } from './table.ts';
import { COLUMN, columnsOf, type DescribedRows, type Outcome, type Search, Workspace } from './workspace.ts';

export interface StreamProblem {
  readonly beta: number;
  /** `[m]`; a margin is over the mean of all reference samples of the source. */
  readonly limits: readonly Limit[];
}

/** Prompts read before pruning begins: they tell about where λ will be. */
const FIRST_SLABS = 2;
/** Standard errors of the first prompts' λ that the box around it spans, either way. */
const BOX = 4;

/**
 * `solveDual` on a source, in memory for the responses that policies near λ* use, a few per cent of the table. One pass
 * if the first prompts are like the rest; else the source is read again for each evaluation, with the same answer.
 * The answer's bits depend on the prompts and their order alone, not on how they are cut into chunks; they are those of
 * `solveDual` up to 2048 prompts, and agree with it to rounding beyond.
 */
export async function solveStream(source: ScoreSource, problem: StreamProblem): Promise<DualSolution> {
  return solveStreamWith(await loadWasm(), source, problem);
}

/** `solveStream` with kernels already loaded. */
export async function solveStreamWith(
  kernels: Kernels,
  source: ScoreSource,
  { beta, limits }: StreamProblem,
): Promise<DualSolution> {
  checkBeta(beta);
  const slabs = slabsOf(source);
  const begun: ScoreTable[] = [];
  for (let next = await slabs.next(); ; next = await slabs.next()) {
    if (next.done) {
      const table = joined(begun);
      return solveWith(kernels, problemOf(kernels, table, beta, limits));
    }
    // A view on the chunk that the next step overwrites.
    begun.push(copied(next.value));
    if (begun.length === FIRST_SLABS) break;
  }
  const first = problemOf(kernels, joined(begun), beta, limits);
  const sample = new Workspace(kernels.fresh(), first);
  const stream = new Stream(kernels.fresh(), sample, limits, beta, boxOf(sample, first.thresholds, beta));
  for (const slab of begun) stream.take(slab);
  for await (const slab of slabs) stream.take(slab);
  stream.finish();
  const { statistics, thresholds } = stream;
  const shown = {
    prompts: stream.prompts,
    responses: stream.responses,
    beta,
    thresholds,
    relative: limits.map((limit) => 'margin' in limit),
  };
  const impossible = outOfReach(statistics, thresholds);
  if (impossible) return infeasibleSolution(shown, statistics, impossible);
  const search = stream.searchKept() ?? (await stream.searchAll(source));
  const direction = isPlain(search, statistics, beta) ? undefined : directionOf(search.lambda);
  const optimum = isPlain(search, statistics, beta)
    ? { ...search, status: 'optimal' as const }
    : judge(search, statistics, thresholds, direction && (await stream.support(source, direction)));
  if (optimum.status === 'infeasible') return infeasibleSolution(shown, statistics, optimum);
  const outcome = optimum.outcome ?? (await stream.evaluate(source, optimum.lambda));
  return solution(shown, statistics, optimum, outcome, stream, () =>
    findMend(kernels, sample, { ...first, thresholds }, optimum.lambda),
  );
}

function copied(table: ScoreTable): ScoreTable {
  const { reward, safety, weights, ...rest } = table;
  return {
    ...rest,
    reward: reward.slice(),
    safety: safety.slice(),
    ...(weights ? { weights: weights.slice() } : {}),
  };
}

function problemOf(kernels: Kernels, table: ScoreTable, beta: number, limits: readonly Limit[]) {
  const relative = limits.map((limit) => 'margin' in limit);
  const size = constraintsOf(table);
  const asked = (means: readonly number[]) =>
    limits.map((limit, j) => ('threshold' in limit ? limit.threshold : means[j] + limit.margin));
  checkProblem({ ...table, beta, thresholds: asked(new Array(size).fill(0)) });
  const means = relative.some(Boolean)
    ? new LoadedTable(kernels.fresh(), table).statistics.safety
    : new Array(size).fill(0);
  return { ...table, beta, thresholds: asked(means), relative };
}

interface Box {
  readonly centre: readonly number[];
  readonly radius: readonly number[];
}

/** Where the λ of all prompts should be, from that of some; undefined where those have none to speak of. */
function boxOf(sample: Workspace, thresholds: readonly number[], beta: number): Box | undefined {
  const optimum = optimise(sample, beta, thresholds);
  if (optimum.status !== 'optimal') return undefined;
  const { hessian } = sample.evaluate(beta, thresholds, optimum.lambda);
  const radius = optimum.lambda.map((_, j) => {
    const column = sample.column(COLUMN.safety + j);
    const mean = pairwiseSum(column) / column.length;
    const squares = pairwiseSum(column.map((value) => (value - mean) * (value - mean)));
    return (BOX * Math.sqrt(squares)) / column.length / hessian[j][j];
  });
  return radius.every(Number.isFinite) ? { centre: optimum.lambda, radius } : undefined;
}

/** The responses of a slab that policies in the box use. */
interface Kept {
  readonly table: ScoreTable;
  /** What each prompt's weights add up to over the mean weight of those kept: K, without weights. */
  readonly mass: Float64Array;
}

type Values = Float64Array | Float32Array;

class Stream implements DescribedRows {
  prompts = 0;
  thresholds: readonly number[] = [];
  #least = Number.POSITIVE_INFINITY;
  #most = 0;
  #kernels: Kernels;
  #constraints: number;
  #sample: Workspace;
  #limits: readonly Limit[];
  #beta: number;
  #box: Box | undefined;
  #statistics: Statistics;
  #newton: Newton;
  #lambda: number;
  #radius: number;
  #sums: Float64Array[] = [];
  #largest: Float64Array;
  #means: Float64Array[] = [];
  #kept: Kept[] = [];
  #described: Float64Array[] = [];

  constructor(kernels: Kernels, sample: Workspace, limits: readonly Limit[], beta: number, box?: Box) {
    this.#kernels = kernels;
    this.#sample = sample;
    this.#constraints = sample.constraints;
    this.#limits = limits;
    this.#beta = beta;
    this.#box = box;
    this.#statistics = sample.statistics;
    this.#newton = new Newton(kernels.exports, this.#constraints);
    this.#lambda = kernels.exports.allocate(8 * this.#constraints);
    this.#radius = kernels.exports.allocate(8 * this.#constraints);
    this.#largest = new Float64Array(statisticsWidth(this.#constraints));
  }

  get statistics(): Statistics {
    return this.#statistics;
  }

  get responses(): number | [number, number] {
    return this.#least === this.#most ? this.#least : [this.#least, this.#most];
  }

  /** Takes the next slab of the first pass. */
  take(slab: ScoreTable): void {
    for (let n = 0; n < slab.prompts; n++) {
      const K = responsesOf(slab, n);
      this.#least = Math.min(this.#least, K);
      this.#most = Math.max(this.#most, K);
    }
    this.#load({ table: slab }, (table) => {
      const { wasm, scores } = table;
      const width = statisticsWidth(this.#constraints);
      this.#sums.push(table.floats(wasm.sumsOf(scores), width).slice());
      const largest = table.floats(wasm.statisticsOf(scores), width);
      for (const [i, value] of largest.entries()) this.#largest[i] = Math.max(this.#largest[i], value);
      const relative = this.#limits.some((limit) => 'margin' in limit);
      if (relative) {
        const means = table.floats(wasm.meanOf(scores), this.#constraints * slab.prompts);
        this.#means.push(means.slice());
      }
      if (this.#box) this.#keep(withoutAbsent(slab), table, this.#box);
    });
    this.prompts += slab.prompts;
  }

  /** Ends the first pass. */
  finish(): void {
    const m = this.#constraints;
    const total = treeSum(this.#sums);
    const values = total.map((sum) => sum / this.prompts);
    // The largest range is of all rows, not a mean (assembly/dual/scores.ts).
    const base = statisticsWidth(0);
    values[4] = this.#largest[4];
    for (let j = 0; j < m; j++) values[base + 4 * j + 3] = this.#largest[base + 4 * j + 3];
    const { table } = this.#sample;
    this.#statistics = statisticsOf(values, m, () =>
      median(table.floats(table.wasm.rewardRangeOf(table.scores), table.prompts).slice()),
    );
    const { safety } = this.#statistics;
    this.thresholds = this.#limits.map((limit, j) =>
      'threshold' in limit ? limit.threshold : safety[j] + limit.margin,
    );
  }

  #load<T>({ table, mass }: { table: ScoreTable; mass?: Float64Array }, use: (table: LoadedTable) => T): T {
    const { exports } = this.#kernels;
    const mark = exports.mark();
    try {
      return use(new LoadedTable(this.#kernels, table, mass, this.prompts));
    } finally {
      exports.release(mark);
    }
  }

  #keep(slab: ScoreTable, table: LoadedTable, { centre, radius }: Box): void {
    const { wasm, scores, prompts } = table;
    const scratch = table.granted(wasm.createScratch(scores, BLOCK));
    const countsAt = table.granted(wasm.allocate(4 * prompts));
    const positionsAt = table.granted(wasm.allocate(4 * table.elements));
    table.floats(this.#lambda, this.#constraints).set(centre);
    table.floats(this.#radius, this.#constraints).set(radius);
    const total = wasm.selectRows(
      scores,
      scratch,
      this.#lambda,
      this.#radius,
      this.#beta,
      countsAt,
      positionsAt,
    );
    const counts = table.words(countsAt, prompts).slice();
    const from = table.words(positionsAt, total).slice();
    let at = 0;
    let first = 0;
    for (let n = 0; n < prompts; n++) {
      for (const end = at + counts[n]; at < end; at++) from[at] += first;
      first += responsesOf(slab, n);
    }
    const size = slab.reward.length;
    const take = (values: Values, planes: number): Values => {
      const out =
        values instanceof Float32Array ? new Float32Array(planes * total) : new Float64Array(planes * total);
      for (let j = 0; j < planes; j++) {
        for (let i = 0; i < total; i++) out[j * total + i] = values[j * size + from[i]];
      }
      return out;
    };
    const weights = slab.weights && take(slab.weights, 1);
    this.#kept.push({
      table: {
        prompts,
        responses: counts,
        reward: take(slab.reward, 1),
        safety: take(slab.safety, this.#constraints),
        ...(weights ? { weights } : {}),
      },
      mass: massOf(slab, counts, weights),
    });
  }

  /** The search over what was kept; undefined where it ends outside the box. */
  searchKept(): Search | undefined {
    const box = this.#box;
    if (!box) return undefined;
    const base = this.#statisticsOfKept();
    const newton = this.#newton;
    newton.aim(base, this.#beta, this.thresholds, box.centre);
    let described = false;
    for (const last of newton.wanted()) {
      described = last;
      this.#begin();
      for (const kept of this.#kept) this.#evaluateSlab(kept, newton.beta, described);
      this.#end();
    }
    const found = newton.ended();
    const inside = found.lambda.every((value, j) => Math.abs(value - box.centre[j]) <= box.radius[j]);
    if (found.status !== 'converged' || !inside) return undefined;
    if (!described || !newton.endsThere) {
      newton.aim(base, this.#beta, this.thresholds, found.lambda);
      newton.setLambda(found.lambda);
      this.#begin();
      for (const kept of this.#kept) this.#evaluateSlab(kept, this.#beta, true);
      this.#end();
    }
    return { ...found, outcome: this.#outcome(base.rewardTop) };
  }

  /** The same over the source, read once for each evaluation. */
  async searchAll(source: ScoreSource): Promise<Search> {
    const newton = this.#newton;
    newton.aim(
      this.statistics,
      this.#beta,
      this.thresholds,
      this.#box?.centre ?? this.thresholds.map(() => 0),
    );
    for (const _ of newton.wanted()) await this.#evaluateAll(source, newton.beta, false);
    return newton.ended();
  }

  /** D, ∇D and ∇²D at λ, with the rows described, over the source. */
  async evaluate(source: ScoreSource, lambda: readonly number[]): Promise<Outcome> {
    this.#newton.aim(this.statistics, this.#beta, this.thresholds, lambda);
    this.#newton.setLambda(lambda);
    await this.#evaluateAll(source, this.#beta, true);
    return this.#outcome(this.statistics.rewardTop);
  }

  async #evaluateAll(source: ScoreSource, beta: number, describe: boolean): Promise<void> {
    this.#begin();
    for await (const slab of slabsOf(source)) this.#evaluateSlab({ table: slab }, beta, describe);
    this.#end();
  }

  /** mean_n max_k Σ_j u_j (g_j − thresholds_j). */
  async support(source: ScoreSource, direction: readonly number[]): Promise<number> {
    const sums: Float64Array[] = [];
    for await (const slab of slabsOf(source)) {
      this.#load({ table: slab }, (table) => {
        const { wasm, blocks } = table;
        const partial = table.granted(wasm.allocate(8 * blocks));
        table.floats(this.#lambda, this.#constraints).set(direction);
        wasm.supportShare(table.scores, this.#lambda, partial, 0, 0, blocks);
        wasm.sumBlocks(partial, blocks, 1);
        sums.push(table.floats(partial, 1).slice());
      });
    }
    const { middle } = this.statistics;
    return direction.reduce(
      (sum, u, j) => sum + u * (middle[j] - this.thresholds[j]),
      treeSum(sums)[0] / this.prompts,
    );
  }

  #evaluations: Float64Array[] = [];

  #begin(): void {
    this.#evaluations = [];
    this.#described = [];
  }

  #evaluateSlab(slab: { table: ScoreTable; mass?: Float64Array }, beta: number, describe: boolean): void {
    this.#load(slab, (table) => {
      const { wasm, scores, blocks, prompts } = table;
      const width = evaluationWidth(this.#constraints);
      const columns = columnsOf(this.#constraints);
      const scratch = table.granted(wasm.createScratch(scores, BLOCK));
      const partial = table.granted(wasm.allocate(8 * width * blocks));
      const out = describe ? table.granted(wasm.allocate(8 * columns * prompts)) : 0;
      const lambda = wasm.lambdaOf(this.#newton.pointer);
      wasm.evaluateBlocks(scores, scratch, lambda, beta, 0, blocks, partial, out, 0);
      wasm.sumBlocks(partial, blocks, width);
      this.#evaluations.push(table.floats(partial, width).slice());
      if (describe) this.#described.push(table.floats(out, columns * prompts).slice());
    });
  }

  #end(): void {
    const { exports } = this.#kernels;
    const total = treeSum(this.#evaluations);
    const mark = exports.mark();
    const at = exports.allocate(8 * total.length);
    new Float64Array(exports.memory.buffer, at >>> 0, total.length).set(total);
    this.#newton.absorb(at, this.prompts);
    exports.release(mark);
  }

  #outcome(rewardTop: number): Outcome {
    const mean = (column: number) => pairwiseSum(this.column(column)) / this.prompts;
    return {
      ...this.#newton.evaluation(rewardTop),
      reward: mean(COLUMN.reward),
      safety: this.thresholds.map((_, j) => mean(COLUMN.safety + j)),
      kl: mean(COLUMN.kl),
    };
  }

  /** The statistics with the centring of what was kept, which lacks the extremes of its rows. */
  #statisticsOfKept(): Statistics {
    const width = statisticsWidth(this.#constraints);
    const sums = this.#kept.map((kept) =>
      this.#load(kept, (table) => table.floats(table.wasm.sumsOf(table.scores), width).slice()),
    );
    const means = statisticsOf(
      treeSum(sums).map((sum) => sum / this.prompts),
      this.#constraints,
      () => 0,
    );
    return { ...this.statistics, rewardTop: means.rewardTop, middle: means.middle };
  }

  column(column: number): Float64Array {
    const width = columnsOf(this.#constraints);
    const out = new Float64Array(this.prompts);
    let row = 0;
    for (const rows of this.#described) {
      for (let i = column; i < rows.length; i += width) out[row++] = rows[i];
    }
    return out;
  }

  rowMeans(j: number): Float64Array {
    const out = new Float64Array(this.prompts);
    for (const [i, means] of this.#means.entries()) {
      const rows = means.length / this.#constraints;
      out.set(means.subarray(j * rows, (j + 1) * rows), i * SLAB);
    }
    return out;
  }
}

function massOf(slab: ScoreTable, counts: Uint32Array, kept: Values | undefined): Float64Array {
  const mass = new Float64Array(counts.length);
  let all = 0;
  let at = 0;
  for (const [n, count] of counts.entries()) {
    const K = responsesOf(slab, n);
    mass[n] = K;
    if (slab.weights && kept) {
      let whole = 0;
      let part = 0;
      for (let k = 0; k < K; k++) whole += slab.weights[all + k];
      for (let k = 0; k < count; k++) part += kept[at + k];
      mass[n] = whole / (part / count);
    }
    all += K;
    at += count;
  }
  return mass;
}

/** Adds up by the tree of assembly/dual/blocks.ts. */
function treeSum(parts: readonly Float64Array[]): Float64Array {
  const sums = parts.map((part) => part.slice());
  for (let stride = 1; stride < sums.length; stride *= 2) {
    for (let i = 0; i + stride < sums.length; i += 2 * stride) {
      for (const [c, value] of sums[i + stride].entries()) sums[i][c] += value;
    }
  }
  return sums[0];
}

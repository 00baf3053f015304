/** The dual of a table that is read chunk by chunk and never held: a file, a network body, shards of a cluster. */
import { type Kernels, loadWasm, type WasmExports } from '../wasm.ts';
import { inside } from './box.ts';
import { chunksOf, headOf } from './chunks.ts';
import { centredOn, take } from './first_pass.ts';
import { Kept } from './kept.ts';
import {
  checkBeta,
  checkProblem,
  constraintsOf,
  type DualProblem,
  type Limit,
  responsesOf,
  type ScoreSource,
  type ScoreTable,
} from './problem.ts';
import { type Pass, RawKernels } from './raw_kernels.ts';
import type { DualSolution } from './solution.ts';
import {
  directionOf,
  findMend,
  infeasibleSolution,
  isPlain,
  judge,
  outOfReach,
  solution,
  solveWith,
} from './solve.ts';
import { SourcePass } from './source_pass.ts';
import { Staging } from './staging.ts';
import { boxOf } from './stream_box.ts';
import { StreamSearch } from './stream_search.ts';
import { median } from './sums.ts';
import { LoadedTable, type Statistics, statisticsOf } from './table.ts';
import { Workspace } from './workspace.ts';

/** What to solve over a table that is streamed. */
export interface StreamProblem {
  readonly beta: number;
  /** `[m]`; a margin is over the mean of all reference samples of the source. */
  readonly limits: readonly Limit[];
}

/** Prompts read before pruning begins: they tell about where λ will be. */
const HEAD = 2048;
/** Where less than this part of the responses is used, all that is can be kept. */
const FEW = 0.25;

/**
 * `solveDual` on a source, in memory for the responses that policies near λ* use, a few per cent of the table, and some
 * numbers a prompt. One pass if the first prompts are like the rest; else the source is read again for each evaluation,
 * with the same answer. The answer's bits depend on the prompts and their order alone, not on how they are cut into
 * chunks; they are those of `solveDual` up to 2048 prompts, and agree with it to rounding beyond.
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
  const chunks = chunksOf(source);
  try {
    const { head, rest } = await headOf(chunks, HEAD);
    const problem = problemOf(kernels, head, beta, limits);
    if (!rest) return solveWith(kernels, problem);
    return await withMemory(kernels, (own) => {
      const read = readOnceThen(head, rest, chunks, source);
      return solveRead(own, new Workspace(kernels.fresh(), problem), problem, limits, read);
    });
  } finally {
    await chunks.return(undefined);
  }
}

function problemOf(kernels: Kernels, table: ScoreTable, beta: number, limits: readonly Limit[]): DualProblem {
  const relative = limits.map((limit) => 'margin' in limit);
  const size = constraintsOf(table);
  checkProblem({ ...table, beta, thresholds: absolute(limits, new Array(size).fill(0)) });
  const means = relative.some(Boolean)
    ? new LoadedTable(kernels.fresh(), table).statistics.safety
    : new Array(size).fill(0);
  return { ...table, beta, thresholds: absolute(limits, means), relative };
}

function absolute(limits: readonly Limit[], means: readonly number[]): number[] {
  return limits.map((limit, j) => ('threshold' in limit ? limit.threshold : means[j] + limit.margin));
}

/** The chunks of a pass that has begun, and then of passes from the beginning. */
function readOnceThen(
  head: ScoreTable,
  rest: ScoreTable,
  chunks: AsyncIterable<ScoreTable>,
  source: ScoreSource,
): () => AsyncIterable<ScoreTable> {
  let begun = true;
  return async function* () {
    if (!begun) {
      yield* chunksOf(source);
      return;
    }
    begun = false;
    yield head;
    yield rest;
    yield* chunks;
  };
}

/** Streams under way in a memory that threads share, and where theirs begins. */
const underWay = new WeakMap<WasmExports, { streams: number; mark: number }>();

/** Runs `use` in memory that is given back afterwards: with threads in theirs, once no other stream is under way. */
async function withMemory<T>(kernels: Kernels, use: (kernels: Kernels) => Promise<T>): Promise<T> {
  if (!kernels.pool) return use(kernels.fresh());
  const { exports } = kernels;
  const state = underWay.get(exports) ?? { streams: 0, mark: exports.mark() };
  underWay.set(exports, state);
  state.streams++;
  try {
    return await use(kernels);
  } finally {
    if (--state.streams === 0) {
      underWay.delete(exports);
      exports.release(state.mark);
    }
  }
}

async function solveRead(
  kernels: Kernels,
  sample: Workspace,
  first: DualProblem,
  limits: readonly Limit[],
  chunks: () => AsyncIterable<ScoreTable>,
): Promise<DualSolution> {
  const { beta } = first;
  const { constraints } = sample;
  const relative = limits.map((limit) => 'margin' in limit);
  const counts = new Counts();
  const source = new SourcePass(new Staging(kernels, first), () => counts.watch(chunks()));
  const raw = new RawKernels(kernels, constraints, first.weights !== undefined);
  const box = boxOf(sample, first.thresholds, beta);
  const few = box && sample.keptPart(beta, box) < FEW;
  const kept = new Kept(kernels, constraints);
  const taken = await take(kernels, raw, constraints, source, {
    beta,
    means: relative.some(Boolean),
    ...(box ? { box, kept, evaluates: !few } : {}),
  });
  const { prompts, means, evaluated } = taken;
  const statistics = statisticsOf(taken.values, constraints, () => sampleRange(sample));
  const thresholds = absolute(limits, statistics.safety);
  const shown = { prompts, responses: counts.range, beta, thresholds, relative };
  const impossible = outOfReach(statistics, thresholds);
  if (impossible) return infeasibleSolution(shown, statistics, impossible);

  const searching = new StreamSearch(kernels, raw, constraints, prompts, means);
  const start = box?.centre ?? thresholds.map(() => 0);
  const searchOver = (pass: Pass, over: Statistics, sums?: Float64Array) =>
    searching.search(pass, over, beta, thresholds, start, sums);
  const evaluateOver = (pass: Pass, over: Statistics, lambda: readonly number[]) =>
    searching.evaluate(pass, over, beta, thresholds, lambda);

  let found: Awaited<ReturnType<typeof searchOver>> | undefined;
  if (box && !kept.full) {
    const centred = centredOn(statistics, await take(kernels, raw, constraints, kept, { beta }));
    const inBox = await searchOver(kept, centred);
    if (inBox.status === 'converged' && inside(box, inBox.lambda)) {
      const described = inBox.described ?? (await evaluateOver(kept, centred, inBox.lambda));
      found = { ...inBox, described };
    }
  }
  found ??= await searchOver(source, statistics, evaluated);
  const plain = isPlain(found, statistics, beta);
  const direction = plain ? undefined : directionOf(found.lambda);
  const optimum = plain
    ? { ...found, status: 'optimal' as const }
    : judge(
        found,
        statistics,
        beta,
        thresholds,
        direction && (await searching.support(source, statistics, thresholds, direction)),
      );
  if (optimum.status === 'infeasible') return infeasibleSolution(shown, statistics, optimum);
  const { outcome, rows } = found.described ?? (await evaluateOver(source, statistics, optimum.lambda));
  return solution(shown, statistics, optimum, outcome, rows, () =>
    findMend(kernels, sample, { ...first, thresholds }, optimum.lambda),
  );
}

function sampleRange({ table }: Workspace): number {
  return median(table.floats(table.wasm.rewardRangeOf(table.scores), table.prompts).slice());
}

/** The least and the most responses of a prompt in the chunks that pass. */
class Counts {
  #least = Number.POSITIVE_INFINITY;
  #most = 0;

  get range(): number | [number, number] {
    return this.#least === this.#most ? this.#least : [this.#least, this.#most];
  }

  async *watch(chunks: AsyncIterable<ScoreTable>): AsyncGenerator<ScoreTable> {
    for await (const chunk of chunks) {
      const rows = typeof chunk.responses === 'number' ? 1 : chunk.prompts;
      for (let n = 0; n < rows; n++) {
        const count = responsesOf(chunk, n);
        this.#least = Math.min(this.#least, count);
        this.#most = Math.max(this.#most, count);
      }
      yield chunk;
    }
  }
}

import { UserError } from '../errors.ts';
import { keyOf, Random } from '../random.ts';
import { type Kernels, loadWasm } from '../wasm.ts';
import {
  checkProblem,
  constraintsOf,
  type DualProblem,
  responsesOf,
  type ScoreTable,
  withoutAbsent,
} from './problem.ts';
import { optimise, solveWith } from './solve.ts';
import { withWorkspace } from './workspace.ts';

/** What `planDual` plans for. */
export interface PlanOptions {
  /** Half-width of the 95 % interval of λ*, and size of its bias, to plan for. */
  readonly target?: number;
  /** Random subsets of each size; 16 if left out. */
  readonly subsets?: number;
  /** 0 if left out. */
  readonly seed?: number;
}

/** λ* over random subsets of one size. */
export interface PlanRow {
  /** Prompts or responses a prompt in each subset. */
  readonly size: number;
  /** Over the subsets within reach of the thresholds; left out where fewer than two are. */
  readonly mean?: readonly number[];
  /** Standard deviation over the subsets. */
  readonly deviation?: readonly number[];
  /** Subsets out of reach. */
  readonly infeasible: number;
}

/** How λ* depends on how much was sampled, and what more would bring. */
export interface Plan {
  readonly lambda: readonly number[];
  /** Half-width of the 95 % interval with all prompts. */
  readonly halfWidth: readonly number[];
  /** λ* with fewer prompts, all responses. */
  readonly prompts: readonly PlanRow[];
  /** λ* with fewer responses, all prompts. */
  readonly responses: readonly PlanRow[];
  /**
   * What doubling the responses again and again would still add to λ*, from how the last doublings went; undefined
   * where they show no end.
   */
  readonly bias: readonly (number | undefined)[];
  readonly target?: {
    readonly value: number;
    /** Prompts that bring every half-width to the target: it falls like 1/√N. */
    readonly prompts: number;
    /** Responses a prompt that bring every bias to the target; undefined where there is no end in sight. */
    readonly responses: number | undefined;
  };
}

const PARTS = [8, 4, 2] as const;
/** Doublings that change λ by this part of the one before, or more, are not dying out. */
const SLOWEST = 0.9;

/** Solves on subsets of prompts and of responses (the paper's figure 4), and reckons what a target asks for. */
export async function planDual(problem: DualProblem, options: PlanOptions = {}): Promise<Plan> {
  return planWith(await loadWasm(), problem, options);
}

/** `planDual` with kernels already loaded. */
export function planWith(kernels: Kernels, whole: DualProblem, options: PlanOptions = {}): Plan {
  const { subsets = 16, seed = 0, target } = options;
  checkProblem(whole);
  // A subset of a prompt's responses may not be of absent ones alone.
  const problem = { ...whole, ...withoutAbsent(whole) };
  if (!Number.isSafeInteger(subsets) || subsets < 2) {
    throw new UserError(`plan: expected at least 2 subsets, got ${subsets}`);
  }
  if (target !== undefined && !(target > 0))
    throw new UserError(`plan: expected a target above 0, got ${target}`);
  const solution = solveWith(kernels, problem);
  if (solution.status !== 'optimal') {
    throw new UserError(`plan: expected thresholds within reach, but the problem is ${solution.status}`, 3);
  }
  const { lambda, lambdaIntervals } = solution;
  const halfWidth = lambda.map((value, j) => lambdaIntervals[j][1] - value);
  const most = Math.max(...[solution.responses].flat());
  const sizes = (all: number) =>
    [...new Set(PARTS.map((part) => Math.floor(all / part)))].filter((size) => size > 0);
  const row = (purpose: string, size: number, subset: Subset) =>
    planRow(
      kernels,
      problem,
      solution.reference.safety,
      size,
      subsets,
      new Random(keyOf(seed, purpose), size),
      subset,
    );
  const prompts = sizes(problem.prompts).map((size) =>
    row('plan prompts', size, fewerPrompts(problem, size)),
  );
  const responses = sizes(most).map((size) => row('plan responses', size, fewerResponses(problem, size)));
  const trends = lambda.map((value, j) => trendOf(responses, value, j));
  return {
    lambda,
    halfWidth,
    prompts,
    responses,
    bias: trends.map((trend) => trend?.bias),
    ...(target === undefined
      ? {}
      : {
          target: {
            value: target,
            prompts: Math.ceil(problem.prompts * Math.max(...halfWidth.map((half) => (half / target) ** 2))),
            responses: responsesFor(trends, target, most),
          },
        }),
  };
}

/** A part of a problem's table. */
type Subset = (random: Random) => ScoreTable;

function planRow(
  kernels: Kernels,
  { beta, thresholds, relative }: DualProblem,
  reference: readonly number[],
  size: number,
  subsets: number,
  random: Random,
  subset: Subset,
): PlanRow {
  const found: (readonly number[])[] = [];
  for (let i = 0; i < subsets; i++) {
    const outcome = withWorkspace(kernels, subset(random), (workspace) => {
      const { safety } = workspace.statistics;
      const asked = thresholds.map((value, j) => (relative?.[j] ? value + safety[j] - reference[j] : value));
      return optimise(workspace, beta, asked);
    });
    if (outcome.status === 'optimal') found.push(outcome.lambda);
  }
  const infeasible = subsets - found.length;
  if (found.length < 2) return { size, infeasible };
  const mean = thresholds.map((_, j) => found.reduce((sum, lambda) => sum + lambda[j], 0) / found.length);
  const deviation = mean.map((centre, j) =>
    Math.sqrt(found.reduce((sum, lambda) => sum + (lambda[j] - centre) ** 2, 0) / (found.length - 1)),
  );
  return { size, mean, deviation, infeasible };
}

const range = (length: number) => Array.from({ length }, (_, i) => i);

/** Random subsets of the prompts, with all their responses. */
function fewerPrompts(table: ScoreTable, size: number): Subset {
  return (random) => {
    const chosen = random.shuffle(range(table.prompts)).slice(0, size);
    return take(
      table,
      chosen.sort((a, b) => a - b),
      (n) => range(responsesOf(table, n)),
    );
  };
}

/** All prompts, each with a random subset of its responses. */
function fewerResponses(table: ScoreTable, size: number): Subset {
  return (random) =>
    take(table, range(table.prompts), (n) => random.shuffle(range(responsesOf(table, n))).slice(0, size));
}

function take(
  table: ScoreTable,
  prompts: readonly number[],
  chosen: (prompt: number) => readonly number[],
): ScoreTable {
  const m = constraintsOf(table);
  const starts = new Float64Array(table.prompts);
  for (let n = 1; n < table.prompts; n++) starts[n] = starts[n - 1] + responsesOf(table, n - 1);
  const choices = prompts.map(chosen);
  const responses = Uint32Array.from(choices, (choice) => choice.length);
  const total = responses.reduce((sum, count) => sum + count, 0);
  const reward = new Float64Array(total);
  const safety = new Float64Array(m * total);
  const weights = table.weights && new Float64Array(total);
  let to = 0;
  for (const [i, choice] of choices.entries()) {
    for (const k of choice) {
      const from = starts[prompts[i]] + k;
      reward[to] = table.reward[from];
      for (let j = 0; j < m; j++) safety[j * total + to] = table.safety[j * table.reward.length + from];
      if (weights && table.weights) weights[to] = table.weights[from];
      to++;
    }
  }
  return { reward, safety, prompts: prompts.length, responses, ...(weights ? { weights } : {}) };
}

/** How λ_j goes on as K doubles: what all further doublings add, and by what part each is smaller than the last. */
interface Trend {
  readonly bias: number;
  readonly ratio: number;
}

function trendOf(rows: readonly PlanRow[], lambda: number, j: number): Trend | undefined {
  const means = rows.flatMap(({ mean }) => (mean ? [mean[j]] : []));
  if (means.length < PARTS.length) return undefined;
  const values = [...means, lambda];
  const [first, second] = [values[2] - values[1], values[3] - values[2]];
  if (second === 0) return { bias: 0, ratio: 0 };
  const ratio = second / first;
  if (!(Math.abs(ratio) < SLOWEST)) return undefined;
  return { bias: (second * ratio) / (1 - ratio), ratio };
}

function responsesFor(
  trends: readonly (Trend | undefined)[],
  target: number,
  now: number,
): number | undefined {
  let doublings = 0;
  for (const trend of trends) {
    if (!trend) return undefined;
    let left = Math.abs(trend.bias);
    let needed = 0;
    for (; left > target; needed++) left *= Math.abs(trend.ratio);
    doublings = Math.max(doublings, needed);
  }
  return now * 2 ** doublings;
}

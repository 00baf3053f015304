import { basename } from 'node:path';
import type { CurvePoint } from '../dual/curve.ts';
import { solvePath } from '../dual/grid.ts';
import { safetyCurve } from '../dual/path.ts';
import { constraintsOf, responsesOf, type ScoreTable } from '../dual/problem.ts';
import type { DualSolution } from '../dual/solution.ts';
import { thresholdsOf } from '../dual/solve.ts';
import { unwritable, writeWhole } from '../host/disk.ts';
import type { ConstraintCurve, DualPageData, ScoreShares } from '../report/dual_page.ts';
import type { ScoreFiles } from './score_files.ts';

export const CHART_DESCRIPTION = 'write a page with verdict, trade-off curves and intervals into this file';
const POINTS = 81;
/** With several safety scores each point is a solve. */
const PATH_POINTS = 33;
/** Responses whose scores the histograms show. */
const SHOWN = 50_000;

interface Answer {
  readonly table: ScoreTable;
  readonly files: ScoreFiles;
  readonly beta: number;
  readonly solution?: DualSolution;
}

type Extras = Pick<DualPageData, 'bootstrap' | 'safe' | 'plan' | 'convergence' | 'stability'>;

/** Writes the page of an answer, whole or not at all. */
export async function writeChart(path: string, answer: Answer, extras: Extras = {}): Promise<void> {
  // Drawing takes longer to load than a dual to solve: only for who asks for it.
  const { renderDualPage } = await import('../report/dual_page.ts');
  const page = renderDualPage({ ...(await pageData(answer)), ...extras });
  try {
    await writeWhole(path, page);
  } catch (error) {
    throw unwritable(`--chart ${path}`, error);
  }
}

/** The name of the file; all of a URL, which may end in the same name as many others. */
function titleOf({ scores, reward = '' }: ScoreFiles): string {
  if (scores === '-') return 'stdin';
  return scores?.includes('://') ? scores : basename(scores ?? reward);
}

async function pageData({ table, files, beta, solution }: Answer): Promise<DualPageData> {
  const m = constraintsOf(table);
  const safety = await thresholdsOf(
    table,
    Array.from({ length: m }, () => ({ margin: 0 })),
  );
  let responses = 0;
  for (let n = 0; n < table.prompts; n++) responses = Math.max(responses, responsesOf(table, n));
  const curves =
    m === 1 ? [await oneCurve(table, beta)] : solution ? await curvesAround(table, beta, solution) : [];
  return {
    title: titleOf(files),
    beta,
    prompts: table.prompts,
    responses,
    reference: { reward: solution?.reference.reward ?? (await meanReward(table)), safety },
    ...(solution ? { solution } : {}),
    curves,
    ...(solution && solution.status !== 'infeasible'
      ? { scores: scoreShares(table, beta, solution.lambda) }
      : {}),
  };
}

/** The reference's mean reward, by the solver's own means: the reward takes the place of a safety score. */
async function meanReward(table: ScoreTable): Promise<number> {
  return (await thresholdsOf({ ...table, safety: table.reward }, [{ margin: 0 }]))[0];
}

async function oneCurve(table: ScoreTable, beta: number): Promise<ConstraintCurve> {
  const { points, reachable } = await safetyCurve(table, beta, { points: POINTS });
  return { points, reachable };
}

/** For each safety score the path of its threshold, the others standing as solved. */
async function curvesAround(
  table: ScoreTable,
  beta: number,
  { thresholds, reference, reachable }: DualSolution,
): Promise<ConstraintCurve[]> {
  const curves: ConstraintCurve[] = [];
  for (const [j, end] of reachable.entries()) {
    const from = Math.min(reference.safety[j], thresholds[j]);
    const step = (0.99 * (end - from)) / (PATH_POINTS - 1);
    const path = Array.from({ length: PATH_POINTS }, (_, i) => thresholds.with(j, from + i * step));
    const points = (await solvePath(table, beta, path)).flatMap((point): CurvePoint[] =>
      point.status === 'optimal' ? [{ ...point, lambda: point.lambda[j], safety: point.thresholds[j] }] : [],
    );
    curves.push({ points, reachable: end });
  }
  return curves;
}

/** The scores of evenly chosen prompts, and the optimal policy's probabilities of the responses. */
function scoreShares(table: ScoreTable, beta: number, lambda: readonly number[]): ScoreShares {
  const total = table.reward.length;
  const stride = Math.ceil(total / SHOWN);
  const reward: number[] = [];
  const safety: number[][] = lambda.map(() => []);
  const reference: number[] = [];
  const predicted: number[] = [];
  let start = 0;
  for (let n = 0; n < table.prompts; n++) {
    const count = responsesOf(table, n);
    if (n % stride === 0) {
      const weight = (i: number) => table.weights?.[i] ?? 1;
      const present = Array.from({ length: count }, (_, k) => start + k).filter((i) => weight(i) > 0);
      const tilted = present.map((i) =>
        lambda.reduce((sum, price, j) => sum + price * table.safety[j * total + i], table.reward[i]),
      );
      const most = Math.max(...tilted);
      const odds = tilted.map((value, k) => weight(present[k]) * Math.exp((value - most) / beta));
      const all = odds.reduce((sum, value) => sum + value, 0);
      const mass = present.reduce((sum, i) => sum + weight(i), 0);
      for (const [k, i] of present.entries()) {
        reward.push(table.reward[i]);
        for (const [j, values] of safety.entries()) values.push(table.safety[j * total + i]);
        reference.push(weight(i) / mass);
        predicted.push(odds[k] / all);
      }
    }
    start += count;
  }
  return { reward, safety, reference, predicted };
}

import { UserError } from '../errors.ts';
import { type Kernels, loadWasm } from '../wasm.ts';
import type { CurvePoint } from './curve.ts';
import { curveIn, pointAt, requireOne } from './path.ts';
import { checkBeta, checkTable, type ScoreTable } from './problem.ts';
import { withWorkspace } from './workspace.ts';

/** The most KL from the reference that one would spend, or the least reward that one would accept. */
export type Budget = { readonly kl: number } | { readonly reward: number };

const SEARCH_POINTS = 64;
const HALVINGS = 60;

/**
 * The largest threshold whose optimal policy stays within the budget, with its λ* and predictions; undefined where not
 * even λ = 0 does. For tables with one safety score.
 */
export async function largestThreshold(
  table: ScoreTable,
  beta: number,
  budget: Budget,
): Promise<CurvePoint | undefined> {
  return largestThresholdWith(await loadWasm(), table, beta, budget);
}

/** `largestThreshold` with kernels already loaded. */
export function largestThresholdWith(
  kernels: Kernels,
  table: ScoreTable,
  beta: number,
  budget: Budget,
): CurvePoint | undefined {
  checkTable(table);
  checkBeta(beta);
  requireOne(table);
  const bound = 'kl' in budget ? budget.kl : budget.reward;
  if (!Number.isFinite(bound)) throw new UserError(`budget: expected a finite number, got ${bound}`);
  const within = ({ kl, reward }: CurvePoint) => ('kl' in budget ? kl <= bound : reward >= bound);
  return withWorkspace(kernels, table, (workspace) => {
    // Neither KL nor reward need be monotone in λ: the last point within the budget counts.
    const { points } = curveIn(workspace, beta, { points: SEARCH_POINTS });
    const last = points.findLastIndex(within);
    if (last < 0) return undefined;
    if (last === points.length - 1) return points[last];
    let low = points[last];
    let high = points[last + 1].lambda;
    for (let i = 0; i < HALVINGS; i++) {
      const middle = (low.lambda + high) / 2;
      if (middle <= low.lambda || middle >= high) break;
      const { slope: _, ...point } = pointAt(workspace, beta, middle);
      if (within(point)) low = point;
      else high = middle;
    }
    return low;
  });
}

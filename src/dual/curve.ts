import { type Kernels, loadWasm } from '../wasm.ts';
import { COLUMN } from './described.ts';
import { effectiveSampleSize } from './diagnostics.ts';
import { checkBeta, checkLambda, checkTable, constraintsOf, type ScoreTable } from './problem.ts';
import type { EffectiveSampleSize } from './solution.ts';
import { withWorkspace } from './workspace.ts';

/** The policy ∝ π_ref·exp((r + λᵀg)/β) on a table of reference samples. */
export interface PolicyPoint {
  readonly lambda: readonly number[];
  /** β·mean log mean exp((r + λᵀg)/β): the dual before λᵀthreshold is taken off. */
  readonly value: number;
  readonly reward: number;
  readonly safety: readonly number[];
  readonly kl: number;
  readonly ess: EffectiveSampleSize;
}

/** What the policies at each of some λ do, without any threshold: predictions before training. */
export async function describePolicies(
  table: ScoreTable,
  beta: number,
  lambdas: readonly (readonly number[])[],
): Promise<PolicyPoint[]> {
  return describePoliciesWith(await loadWasm(), table, beta, lambdas);
}

/** `describePolicies` with kernels already loaded. */
export function describePoliciesWith(
  kernels: Kernels,
  table: ScoreTable,
  beta: number,
  lambdas: readonly (readonly number[])[],
): PolicyPoint[] {
  checkTable(table);
  checkBeta(beta);
  for (const lambda of lambdas) checkLambda(lambda, constraintsOf(table));
  return withWorkspace(kernels, table, (workspace) =>
    lambdas.map((lambda) => {
      const { reward, safety, kl } = workspace.describe(beta, lambda);
      const ess = effectiveSampleSize(workspace.column(COLUMN.ess));
      const value = reward + lambda.reduce((sum, price, j) => sum + price * safety[j], 0) - beta * kl;
      return { lambda: [...lambda], value, reward, safety, kl, ess };
    }),
  );
}

/** One λ on the trade-off curve. */
export interface CurvePoint {
  readonly lambda: number;
  /** D(λ) at the threshold the curve was asked for. */
  readonly dual: number;
  readonly reward: number;
  /** E[g], which is also the threshold whose price λ is. */
  readonly safety: number;
  readonly kl: number;
  readonly essMedian: number;
}

/** The trade-off curve of one safety score at each of `lambdas`. */
export async function tradeOffCurve(
  table: ScoreTable,
  beta: number,
  threshold: number,
  lambdas: readonly number[],
): Promise<CurvePoint[]> {
  const points = await describePolicies(
    table,
    beta,
    lambdas.map((lambda) => [lambda]),
  );
  return points.map(({ lambda: [lambda], value, reward, safety: [safety], kl, ess }) => ({
    lambda,
    dual: value - lambda * threshold,
    reward,
    safety,
    kl,
    essMedian: ess.median,
  }));
}

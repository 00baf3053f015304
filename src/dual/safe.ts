import { UserError } from '../errors.ts';
import { type Kernels, loadWasm } from '../wasm.ts';
import { covarianceOf, gradientRows } from './diagnostics.ts';
import { normalQuantile } from './normal.ts';
import { checkProblem, type DualProblem } from './problem.ts';
import type { DualSolution } from './solution.ts';
import { optimise, solveIn } from './solve.ts';
import { type Workspace, withWorkspace } from './workspace.ts';

/** Thresholds to ask for so that the ones meant hold on prompts not seen. */
export interface SafeThresholds {
  /** Probability that some constraint fails over the draw of these prompts. */
  readonly delta: number;
  /** What to add to each threshold. */
  readonly tightening: readonly number[];
  /** The thresholds with that added. */
  readonly thresholds: readonly number[];
  /** Solved for them. */
  readonly solution: DualSolution;
}

/** The tightening depends on the policy it leads to: rounds until both agree. */
const ROUNDS = 6;
const AGREED = 1e-6;

/**
 * How far to tighten the thresholds so that, with probability 1 − δ over the draw of the prompts, the policy of the λ*
 * found on them meets the thresholds meant, in the mean over all prompts of their kind.
 *
 * λ* makes the mean of E_p[g_j] over these N prompts equal to the threshold asked for; its mean over all prompts is off by
 * that of N independent draws, to first order because the mean of E_p[g_j] depends smoothly on λ (van der Vaart,
 * Asymptotic Statistics, 1998, theorem 5.21 and lemma 19.24). So each threshold is raised by z(1 − δ/m)·sd(E_p[g_j])/√N,
 * δ/m for the m constraints together (Bonferroni). The bound is asymptotic in N, treats prompts as independent draws,
 * and speaks of policies over the K responses at hand.
 */
export async function safeThresholds(problem: DualProblem, delta: number): Promise<SafeThresholds> {
  return safeThresholdsWith(await loadWasm(), problem, delta);
}

/** `safeThresholds` with kernels already loaded. */
export function safeThresholdsWith(kernels: Kernels, problem: DualProblem, delta: number): SafeThresholds {
  checkProblem(problem);
  if (!(delta > 0 && delta < 0.5))
    throw new UserError(`delta: expected a probability between 0 and 0.5, got ${delta}`);
  if (problem.prompts < 2) {
    throw new UserError('safe thresholds: expected at least 2 prompts, to see how they differ; got 1');
  }
  const z = normalQuantile(kernels, 1 - delta / problem.thresholds.length);
  return withWorkspace(kernels, problem, (workspace) => {
    let tightening = problem.thresholds.map(() => 0);
    for (let round = 0; round < ROUNDS; round++) {
      const thresholds = raised(problem, tightening);
      const optimum = optimise(workspace, problem.beta, thresholds);
      if (optimum.status === 'infeasible') break;
      workspace.evaluate(problem.beta, thresholds, optimum.lambda);
      const next = standardErrors(workspace, problem).map((error) => z * error);
      const agreed = next.every((value, j) => Math.abs(value - tightening[j]) <= AGREED * value);
      tightening = next;
      if (agreed) break;
    }
    const thresholds = raised(problem, tightening);
    const solution = solveIn(kernels, workspace, { ...problem, thresholds });
    return { delta, tightening, thresholds, solution };
  });
}

function raised({ thresholds }: DualProblem, by: readonly number[]): number[] {
  return thresholds.map((threshold, j) => threshold + by[j]);
}

/** Of the mean of each E_p[g_j] (less the reference mean, for a margin) at the last λ described. */
function standardErrors(workspace: Workspace, problem: DualProblem): number[] {
  return gradientRows(workspace, problem).map((rows) =>
    Math.sqrt(covarianceOf([rows])[0][0] / workspace.prompts),
  );
}

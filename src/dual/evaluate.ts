import { type Kernels, loadWasm } from '../wasm.ts';
import type { Evaluation } from './newton.ts';
import { checkLambda, checkProblem, constraintsOf, type DualProblem } from './problem.ts';
import { withWorkspace } from './workspace.ts';

/** D, ∇D and ∇²D at λ. */
export async function evaluateDual(problem: DualProblem, lambda: readonly number[]): Promise<Evaluation> {
  return evaluateWith(await loadWasm(), problem, lambda);
}

/** `evaluateDual` with kernels already loaded. */
export function evaluateWith(kernels: Kernels, problem: DualProblem, lambda: readonly number[]): Evaluation {
  checkProblem(problem);
  checkLambda(lambda, constraintsOf(problem));
  return withWorkspace(kernels, problem, (workspace) => {
    const { value, gradient, hessian } = workspace.evaluate(problem.beta, problem.thresholds, lambda);
    return { value, gradient, hessian };
  });
}

/** The dual: from scores to λ*, the trade-off and a verdict. It knows no host; threads come with the entry `src/dual.ts`. */
export { UserError } from '../errors.ts';
export { type Kernels, loadWasm } from '../wasm.ts';
export {
  type Bootstrap,
  type BootstrapOptions,
  bootstrapDual,
  bootstrapWith,
} from './bootstrap.ts';
export { type Budget, largestThreshold, largestThresholdWith } from './budget.ts';
export {
  type Convergence,
  type ConvergenceOptions,
  convergence,
  convergenceWith,
  type DescentTrace,
  type Trace,
  type TracePoint,
} from './convergence.ts';
export {
  type CurvePoint,
  describePolicies,
  describePoliciesWith,
  type PolicyPoint,
  tradeOffCurve,
} from './curve.ts';
export { evaluateDual, evaluateWith } from './evaluate.ts';
export {
  alongDirection,
  farthestAlong,
  farthestAlongWith,
  type GridPoint,
  paretoGrid,
  paretoGridWith,
  solvePath,
  solvePathWith,
} from './grid.ts';
export type { Evaluation } from './newton.ts';
export { type CurveOptions, type SafetyCurve, safetyCurve, safetyCurveWith } from './path.ts';
export { type Plan, type PlanOptions, type PlanRow, planDual, planWith } from './plan.ts';
export type { DualProblem, Limit, ScoreSource, ScoreTable } from './problem.ts';
export { type SafeThresholds, safeThresholds, safeThresholdsWith } from './safe.ts';
export type {
  Curvature,
  DualSolution,
  EffectiveSampleSize,
  Infeasible,
  Interval,
  Intervals,
  Solved,
} from './solution.ts';
export { solveDual, solveWith, thresholdsOf } from './solve.ts';
export { type ScoreErrors, type Stability, scoreErrors, stability, stabilityWith } from './stability.ts';
export { type StreamProblem, solveStream, solveStreamWith } from './stream.ts';
export {
  type AxisPath,
  axisPath,
  axisPathWith,
  type DirectionPath,
  directionPath,
  directionPathWith,
  type PathOptions,
  type ThresholdGrid,
  thresholdGrid,
  thresholdGridWith,
} from './threshold_paths.ts';

import type { Convergence, DescentTrace, Trace } from '../dual/convergence.ts';
import { setting } from './format.ts';

/** One way to λ*, as tables and charts call it. */
export interface Method {
  readonly name: string;
  readonly trace: Trace;
  /** Left out for Newton. */
  readonly descent?: DescentTrace;
}

/** Newton first, then gradient descent by each step; that of 1/L, where there is one, is called so. */
export function methodsOf({ newton, gradient, curvature }: Convergence): Method[] {
  return [
    { name: 'Newton', trace: newton },
    ...gradient.map((trace, i) => ({
      name: i === 0 && trace.step === 1 / curvature.smoothness ? 'step 1/L' : `step ${setting(trace.step)}`,
      trace,
      descent: trace,
    })),
  ];
}

/** Passes until the projected gradient is within the tolerance; undefined where it never is. */
export function passesTo({ points }: Trace, tolerance: number): number | undefined {
  const index = points.findIndex(({ projectedGradient }) => projectedGradient <= tolerance);
  return index < 0 ? undefined : index + 1;
}

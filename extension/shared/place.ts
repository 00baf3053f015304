import type { SafetyCurve } from '../../src/dual/path.ts';

/** Help and safety of a place on the curve: 0 is the original model, 1 the most that can be had of either. */
export interface Place {
  readonly help: number;
  readonly safety: number;
}

export function placeOn({ points, reference, reachable }: SafetyCurve, index: number): Place {
  const { reward, safety } = points[index];
  return {
    help: share(reward - reference.reward, points[0].reward - reference.reward),
    safety: share(safety - reference.safety, reachable - reference.safety),
  };
}

function share(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}

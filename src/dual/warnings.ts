import type { Infeasible, Solved } from './solution.ts';

/** Below this median effective sample size the policy picks rather than weighs. */
const FEW = 2;
/** What the advice aims at. */
export const ENOUGH = 4;

export function pickingOnly(ess: number, kl: number, mostKl: number): boolean {
  return ess < FEW || kl > mostKl - Math.LN2;
}

/** What would bring the median effective sample size to ENOUGH. */
export interface Mend {
  /** A larger β; undefined where none within reason does. */
  readonly beta?: number;
  /** More responses a prompt, were the scores normal; undefined beyond any practical number. */
  readonly responses?: number;
}

function round(value: number): string {
  return String(Number(value.toPrecision(3)));
}

export function warningsOf(
  solution: Omit<Solved, 'warnings'> | Omit<Infeasible, 'warnings'>,
  mostKl: number,
  resolved: boolean,
  mend: () => Mend,
): string[] {
  if (solution.status === 'infeasible') return [];
  const warnings: string[] = [];
  const most = typeof solution.responses === 'number' ? solution.responses : solution.responses[1];
  if (most === 1) {
    return ['One response a prompt leaves nothing to choose from: sample more (K of 16 or more).'];
  }
  if (!resolved && solution.status === 'optimal') {
    warnings.push(
      `E[g] − threshold is ${solution.gradient.map(round).join(', ')} where λ > 0 asks for 0: the scores range so ` +
        'far over β that rounding allows no better. Raise β, or clip the scores.',
    );
  }
  if (solution.status === 'nearly-infeasible') {
    warnings.push(
      'The thresholds lie at the edge of what these responses can reach: λ* is infinite or all but so, and the ' +
        'reward no longer counts. Lower a threshold, or sample more responses a prompt.',
    );
  }
  if (pickingOnly(solution.ess.median, solution.kl, mostKl)) {
    const { beta, responses } = mend();
    const cures = [
      ...(beta === undefined ? [] : [`β of about ${round(beta)}`]),
      ...(responses === undefined ? [] : [`about ${round(responses)} responses a prompt`]),
    ];
    warnings.push(
      `The optimal policy is in effect best-of-${most}: it uses ${round(solution.ess.median)} of ${most} responses ` +
        `(median effective sample size), and its KL of ${round(solution.kl)} is near the largest that ${most} responses ` +
        `can show, ${round(mostKl)}. λ* then depends on K. ` +
        (cures.length > 0
          ? `${cures.join(', or ')} would mend that.`
          : 'Neither a larger β nor more responses would soon mend that.'),
    );
  }
  for (const [j, [low, high]] of solution.lambdaIntervals.entries()) {
    const lambda = solution.lambda[j];
    if (solution.status === 'optimal' && lambda > 0 && high - low > lambda) {
      const span = Number.isFinite(high) ? `${round(low)} to ${round(high)}` : 'unbounded';
      warnings.push(
        `λ${solution.lambda.length > 1 ? ` of constraint ${j + 1}` : ''} = ${round(lambda)} is known only roughly from ` +
          `${solution.prompts} prompts (95 % interval ${span}): score more prompts.`,
      );
    }
  }
  return warnings;
}

import type { CurvePoint, Estimate, Evaluation, ReportData } from './data.ts';

export type Verdict = Evaluation['verdicts'][number];

/** How an achieved change relates to the predicted one, as far as its interval can tell. */
export type Movement =
  /** Nothing was predicted to change, and nothing measurably did. */
  | 'still'
  /** Nothing was predicted to change, yet something did. */
  | 'unforeseen'
  | 'wrong way'
  /** The interval holds zero but not the prediction. */
  | 'hardly'
  /** The interval holds both zero and the prediction. */
  | 'unresolved'
  | 'as predicted'
  | 'short'
  | 'beyond';

/** Smaller changes print as 0.000. */
const NO_CHANGE = 5e-4;

/** Sorts an achieved change, with its interval, against the predicted one. */
export function movementOf(predicted: number, achieved: Estimate): Movement {
  const [low, high] = achieved.interval;
  const holdsZero = low <= 0 && high >= 0;
  if (Math.abs(predicted) < NO_CHANGE) return holdsZero ? 'still' : 'unforeseen';
  const holdsPrediction = low <= predicted && high >= predicted;
  if (holdsZero) return holdsPrediction ? 'unresolved' : 'hardly';
  if (predicted > 0 ? high < 0 : low > 0) return 'wrong way';
  if (holdsPrediction) return 'as predicted';
  return Math.abs(achieved.mean) < Math.abs(predicted) ? 'short' : 'beyond';
}

export interface Change {
  readonly predicted: number;
  readonly achieved: Estimate;
  readonly movement: Movement;
}

function change(predicted: number, achieved: Estimate): Change {
  return { predicted, achieved, movement: movementOf(predicted, achieved) };
}

/** Change of the mean reward against the reference on the held-out prompts, predicted and achieved. */
export function rewardChange({ evaluation }: ReportData): Change {
  return change(evaluation.predicted.reward - evaluation.reference.reward.mean, evaluation.gain.reward);
}

/** Change of the mean safety of constraint `index` against the reference on the held-out prompts. */
export function safetyChange({ evaluation }: ReportData, index: number): Change {
  const predicted = evaluation.predicted.safety[index]! - evaluation.reference.safety[index]!.mean;
  return change(predicted, evaluation.gain.safety[index]!);
}

/** True when constraint `index` asks for a margin over the reference, so that the change decides rather than the level. */
export function asksForMargin({ constraints, evaluation }: ReportData, index: number): boolean {
  return evaluation.bounds[index] !== constraints[index]!.threshold;
}

/** True when by prediction not even the optimal policy reaches bound `index` on the held-out prompts. */
export function predictedToMiss({ evaluation }: ReportData, index: number): boolean {
  return evaluation.predicted.safety[index]! < evaluation.bounds[index]! - NO_CHANGE;
}

export interface Tally {
  readonly met: number;
  readonly missed: number;
  readonly uncertain: number;
  /** The least favourable verdict, which sets the tone. */
  readonly worst: Verdict;
}

export function tally(verdicts: readonly Verdict[]): Tally {
  const of = (verdict: Verdict) => verdicts.filter((other) => other === verdict).length;
  const met = of('met');
  const missed = of('not met');
  const uncertain = of('uncertain');
  return { met, missed, uncertain, worst: missed > 0 ? 'not met' : uncertain > 0 ? 'uncertain' : 'met' };
}

/** The policy that is best when no safety is asked for: the curve's point at λ = 0, where it has one. */
export function unconstrained(curve: readonly CurvePoint[]): CurvePoint | undefined {
  return curve.find(({ lambda }) => lambda === 0);
}

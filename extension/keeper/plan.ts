/** From the scored answers of a run: the trade-off curve, and how sure a place on it is. */
import { tableOf } from '../../src/align/dual.ts';
import { parseScoreRows } from '../../src/align/rows.ts';
import { type SafetyCurve, safetyCurve } from '../../src/dual/path.ts';
import { planDual } from '../../src/dual/plan.ts';
import type { ScoreTable } from '../../src/dual/problem.ts';
import { UserError } from '../../src/errors.ts';
import { PageFolder } from '../../src/host/page_storage.ts';
import { placeOn } from '../shared/place.ts';
import type { Balance } from '../shared/state.ts';
import { RUN } from '../work/protocol.ts';

const POINTS = 60;
const SCORES = 'scores.jsonl';

async function scores(): Promise<ScoreTable> {
  return tableOf(parseScoreRows(await new PageFolder(RUN).readText(SCORES), SCORES, 1));
}

export async function tradeOff(beta: number): Promise<SafetyCurve> {
  return await safetyCurve(await scores(), beta, { points: POINTS });
}

/** The place where as much is had of the safety within reach as of the help. */
export function evenPlace(curve: SafetyCurve): number {
  const index = curve.points.findIndex((_, i) => {
    const { help, safety } = placeOn(curve, i);
    return safety >= help;
  });
  return Math.max(1, index < 0 ? curve.points.length - 1 : index);
}

/** What the planner says of a place on the curve. */
export async function planBalance({ points, beta }: SafetyCurve, index: number): Promise<Balance> {
  const { lambda, safety } = points[index];
  if (lambda === 0) return { index, lambda };
  const problem = { ...(await scores()), beta, thresholds: [safety] };
  try {
    const { halfWidth, target } = await planDual(problem, { target: lambda / 2 });
    return { index, lambda, halfWidth: halfWidth[0], prompts: target!.prompts };
  } catch (error) {
    if (error instanceof UserError) return { index, lambda };
    throw error;
  }
}

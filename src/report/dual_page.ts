import type { Bootstrap } from '../dual/bootstrap.ts';
import type { Convergence } from '../dual/convergence.ts';
import type { Plan } from '../dual/plan.ts';
import type { DualSolution } from '../dual/solution.ts';
import type { Stability } from '../dual/stability.ts';
import type { CurvePoint } from './data.ts';
import { blankDocument } from './document.ts';
import { plural, setting } from './format.ts';
import { pageOf } from './page.ts';
import { certaintySection, diagnosticSection, planSection } from './sections/dual_certainty.ts';
import { readingSection } from './sections/dual_guide.ts';
import { convergenceSection, stabilitySection } from './sections/dual_theory.ts';
import { scoreSection, tradeOffSection } from './sections/dual_tradeoff.ts';
import { cautionSection, outcomeSection } from './sections/dual_verdict.ts';

/** The trade-off of one safety score; with several, the others keep the thresholds of `solution`. */
export interface ConstraintCurve {
  /** `safety` is the threshold. */
  readonly points: readonly CurvePoint[];
  readonly reachable: number;
}

/** Scores of some of the responses, and how much each counts under the reference and under the optimal policy. */
export interface ScoreShares {
  readonly reward: readonly number[];
  /** `[m][…]`. */
  readonly safety: readonly (readonly number[])[];
  readonly reference: readonly number[];
  readonly predicted: readonly number[];
}

/** All that the page of a dual shows, as plain data. */
export interface DualPageData {
  /** What the scores are called. */
  readonly title: string;
  readonly beta: number;
  readonly prompts: number;
  /** The most a prompt has. */
  readonly responses: number;
  readonly reference: { readonly reward: number; readonly safety: readonly number[] };
  /** Left out where no threshold was asked for. */
  readonly solution?: DualSolution;
  readonly curves: readonly ConstraintCurve[];
  readonly scores?: ScoreShares;
  readonly bootstrap?: Bootstrap;
  /** Thresholds raised so as to hold with this probability, and by how much. */
  readonly safe?: { readonly confidence: number; readonly tightening: readonly number[] };
  readonly plan?: Plan;
  readonly convergence?: Convergence;
  readonly stability?: Stability;
}

/** What the page calls safety score `index`. */
export function scoreName({ reference }: DualPageData, index: number): string {
  return reference.safety.length > 1 ? `safety ${index + 1}` : 'safety';
}

/**
 * The page of a dual as one HTML file that needs nothing else: no script, no font, no network. The same `data` give the
 * same bytes in Node and Deno.
 */
export function renderDualPage(data: DualPageData, document: Document = blankDocument()): string {
  const { beta, prompts, responses } = data;
  const sample = `${plural(prompts, 'prompt')} × ${plural(responses, 'response')}`;
  return pageOf({
    title: `The price of safety: ${data.title}`,
    kind: 'dualign: the price of safety, before any training',
    heading: data.title,
    lede: `From the scores of ${sample} of the reference policy, at β = ${setting(beta)}.`,
    sections: [
      outcomeSection(data),
      cautionSection(data),
      convergenceSection(data, document),
      tradeOffSection(data, document),
      planSection(data, document),
      certaintySection(data),
      stabilitySection(data),
      scoreSection(data, document),
      diagnosticSection(data),
      readingSection(data),
    ],
  });
}

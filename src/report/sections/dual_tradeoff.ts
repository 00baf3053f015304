import { figure } from '../charts/chart.ts';
import { histogram, histogramChart } from '../charts/histogram.ts';
import { type Mark, tradeoffCurve } from '../charts/tradeoff.ts';
import type { CurvePoint } from '../data.ts';
import { type ConstraintCurve, type DualPageData, scoreName } from '../dual_page.ts';
import { plural, score, significant } from '../format.ts';
import type { Html } from '../html.ts';
import { html } from '../html.ts';
import { curveTable } from './dual.ts';

/** A threshold farther off the curve than this part of its length would squeeze it. */
const ROOM = 0.25;
/** The price runs off to infinity at the end of the reach: shown up to this many times the price asked about. */
const PRICES = 6;

function reading({ safety, lambda, reward, kl, essMedian }: CurvePoint): string {
  return `threshold ${score(safety)}: λ* ${significant(lambda)}, reward ${score(reward)}, KL ${score(kl)}, effective samples ${significant(essMedian)}`;
}

/** The end of the axis of prices, by the price at hand or by that of the middle of the curve. */
function mostShown(points: readonly CurvePoint[], lambda: number): number {
  const middle = points[Math.floor(points.length / 2)]!.lambda;
  return Math.max(PRICES * middle, 1.5 * lambda);
}

function isNear(points: readonly CurvePoint[], threshold: number): boolean {
  const [first, last] = [points[0]!.safety, points.at(-1)!.safety];
  const room = ROOM * (last - first);
  return threshold > first - room && threshold < last + room;
}

function askedSentence({ solution }: DualPageData, { points }: ConstraintCurve, j: number): string {
  if (!solution) return '';
  const asked = solution.thresholds[j]!;
  return isNear(points, asked)
    ? ` Dashed: the ${score(asked)} asked for.`
    : ` The ${score(asked)} asked for lies off the curve.`;
}

function panels(data: DualPageData, { points }: ConstraintCurve, j: number, document: Document): Html {
  const { solution, reference, responses } = data;
  const solved = solution && solution.status !== 'infeasible' ? solution : undefined;
  const asked = solution?.thresholds[j];
  const panel = (
    quantity: 'reward' | 'kl' | 'lambda' | 'essMedian',
    axis: string,
    values: { readonly reference?: number; readonly predicted?: number },
    more: { readonly ceiling?: readonly [number, string]; readonly most?: number } = {},
  ) => {
    const marks: Mark[] = [];
    if (values.reference !== undefined && isNear(points, reference.safety[j]!)) {
      marks.push({ name: 'reference', safety: reference.safety[j]!, value: values.reference });
    }
    if (values.predicted !== undefined && solved) {
      marks.push({ name: 'predicted', safety: solved.expected.safety[j]!, value: values.predicted });
    }
    return tradeoffCurve(document, {
      curve: points,
      quantity,
      axis,
      ...(asked !== undefined && isNear(points, asked) ? { threshold: asked } : {}),
      marks,
      ...more,
      reading,
    });
  };
  const lambda = solved?.status === 'optimal' ? solved.lambda[j] : undefined;
  const charts = html`<div class="charts">
${figure('The price', 'λ*: what one more unit of this threshold costs.', panel('lambda', 'λ*', { predicted: lambda }, { most: mostShown(points, lambda ?? 0) }))}${figure('Reward', 'The most there is at each threshold.', panel('reward', 'E[r]', { reference: reference.reward, predicted: solved?.expected.reward }))}${figure('Distance', 'How far from the reference the best policy moves.', panel('kl', 'KL, nats', { reference: 0, predicted: solved?.kl }, { ceiling: [Math.log(responses), `log ${responses}: best of ${responses}`] }))}${figure('Support', 'Responses of a prompt that the best policy rests on, in the median.', panel('essMedian', 'effective samples', { predicted: solved?.ess.median }))}</div>
`;
  return html`${charts}${curveTable(points)}`;
}

/** What other thresholds would cost. */
export function tradeOffSection(data: DualPageData, document: Document): Html {
  const drawn = data.curves.map((curve, j) => ({ curve, j })).filter(({ curve }) => curve.points.length > 1);
  if (drawn.length === 0) return html``;
  const many = data.curves.length > 1;
  return html`<section aria-labelledby="tradeoff">
<h2 id="tradeoff">The trade-off</h2>
<p class="note">Every point is the best policy for the threshold below it.${many ? ' While one threshold runs, the others stay as asked.' : ''} Rest the pointer on a curve to read it.</p>
${drawn.map(
  ({
    curve,
    j,
  }) => html`${many && html`<h3>Threshold on ${scoreName(data, j)}</h3>\n`}<p class="note">Up to ${score(curve.reachable)} is within reach; the reference has ${score(data.reference.safety[j]!)}.${askedSentence(data, curve, j)}</p>
${panels(data, curve, j, document)}`,
)}</section>
`;
}

/** Scores of the reference's responses, and of the same as the best policy would draw them. */
export function scoreSection(data: DualPageData, document: Document): Html {
  const { scores, solution, reference } = data;
  if (!scores || !solution || solution.status === 'infeasible') return html``;
  const { expected, thresholds } = solution;
  const drawing = (
    name: string,
    values: readonly number[],
    before: number,
    after: number,
    bound?: number,
  ) => {
    const bins = histogram(values, values, { reference: scores.reference, aligned: scores.predicted });
    const beyond =
      bins.outside > 0
        ? ` ${plural(bins.outside, 'score')} beyond the axis counted in the outermost bars.`
        : '';
    const means = { reference: before, aligned: after };
    const sentence =
      bound === undefined ? 'Further right is better.' : 'The threshold, dashed, is on the mean.';
    return figure(name, sentence + beyond, histogramChart(document, name, bins, means, bound, 'predicted'));
  };
  return html`<section aria-labelledby="scores">
<h2 id="scores">The scores</h2>
<p class="note">Filled: responses as the reference draws them. Outlined: the same responses as the best policy would draw them.</p>
<div class="charts">
${scores.safety.map((values, j) => drawing(scoreName(data, j), values, reference.safety[j]!, expected.safety[j]!, thresholds[j]))}${drawing('reward', scores.reward, reference.reward, expected.reward)}</div>
</section>
`;
}

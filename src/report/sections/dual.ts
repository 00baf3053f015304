import { figure } from '../charts/chart.ts';
import type { Mark } from '../charts/tradeoff.ts';
import { dualCurve, tradeoffCurve } from '../charts/tradeoff.ts';
import type { CurvePoint, ReportData } from '../data.ts';
import { interval, score, significant } from '../format.ts';
import type { Html } from '../html.ts';
import { html, isolated } from '../html.ts';

/** Rows of the table behind the curves: enough to read off, few enough to scan. */
const TABLE_ROWS = 12;

function spread(curve: readonly CurvePoint[]): CurvePoint[] {
  if (curve.length <= TABLE_ROWS) return [...curve];
  return Array.from(
    { length: TABLE_ROWS },
    (_, row) => curve[Math.round((row * (curve.length - 1)) / (TABLE_ROWS - 1))]!,
  );
}

export function curveTable(curve: readonly CurvePoint[]): Html {
  const rows = spread(curve).map(
    (point) =>
      html`<tr><th scope="row">${score(point.safety)}</th><td>${significant(point.lambda)}</td><td>${score(point.reward)}</td><td>${score(point.kl)}</td><td>${significant(point.essMedian)}</td></tr>\n`,
  );
  return html`<details><summary>The curves as numbers</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Table of the trade-off"><table class="numbers plain">
<caption>What each threshold would cost, by prediction</caption>
<thead><tr><th scope="col">Threshold</th><th scope="col">λ*</th><th scope="col">E[r]</th><th scope="col">KL</th><th scope="col">ESS</th></tr></thead>
<tbody>
${rows}</tbody></table></div></details>
`;
}

function curves(data: ReportData, document: Document): Html {
  const { dual, evaluation } = data;
  const curve = [...dual.curve].sort((a, b) => a.lambda - b.lambda);
  const marks = (quantity: 'reward' | 'kl'): Mark[] => {
    const aligned = evaluation.aligned;
    const [before, foreseen] = [dual.reference.safety[0]!, dual.expected.safety[0]!];
    return quantity === 'reward'
      ? [
          { name: 'reference', safety: before, value: dual.reference.reward },
          { name: 'predicted', safety: foreseen, value: dual.expected.reward },
          { name: 'aligned', safety: aligned.safety[0]!.mean, value: aligned.reward.mean },
        ]
      : [
          { name: 'reference', safety: before, value: 0 },
          { name: 'predicted', safety: foreseen, value: dual.kl },
          { name: 'aligned', safety: aligned.safety[0]!.mean, value: aligned.kl.mean },
        ];
  };
  const { threshold } = data.constraints[0]!;
  const chosen = dualCurve(document, curve, {
    lambda: dual.lambda[0]!,
    dual: dual.dual,
    ...(dual.lambdaIntervals[0] ? { interval: dual.lambdaIntervals[0] } : {}),
  });
  const reward = tradeoffCurve(document, {
    curve,
    quantity: 'reward',
    axis: 'E[r]',
    threshold,
    marks: marks('reward'),
  });
  const divergence = tradeoffCurve(document, {
    curve,
    quantity: 'kl',
    axis: 'KL, nats',
    threshold,
    marks: marks('kl'),
    ceiling: [Math.log(dual.responses), `log ${dual.responses}: best of ${dual.responses}`],
  });
  return html`<div class="charts">
${figure('The dual', 'Its minimum is λ*; the band is the 95 % interval.', chosen)}${figure('Reward against safety', 'The curve is the best within reach at each threshold; aligned is measured on the held-out prompts.', reward)}${figure('Distance against safety', 'How far from the reference each threshold pushes the optimal policy.', divergence)}</div>
${curveTable(curve)}`;
}

function multipliers(data: ReportData): Html {
  const { dual, constraints } = data;
  const rows = constraints.map(({ name, threshold, margin }, index) => {
    const bounds = dual.lambdaIntervals[index];
    return html`<tr><th scope="row">${isolated(name)}</th><td><b>${significant(dual.lambda[index]!)}</b>${bounds && html`<small>${interval(bounds, significant)}</small>`}</td><td>${score(threshold)}<small>margin ${score(margin)}</small></td><td>${score(dual.expected.safety[index]!)}</td><td>${dual.lambda[index] === 0 ? 'slack' : 'binding'}</td></tr>\n`;
  });
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of multipliers"><table class="numbers">
<caption>One multiplier a constraint; D(λ*) = ${score(dual.dual)}. A slack constraint costs nothing.</caption>
<thead><tr><th scope="col">Constraint</th><th scope="col">λ, its price</th><th scope="col">Threshold</th><th scope="col" class="predicted">Predicted</th><th scope="col"></th></tr></thead>
<tbody>
${rows}</tbody></table></div>
`;
}

/** How λ* came about and what other thresholds would cost; without a curve, the multipliers alone. */
export function dualSection(data: ReportData, document: Document): Html {
  const drawn = data.constraints.length === 1 && data.dual.curve.length > 1;
  return html`<section aria-labelledby="dual">
<h2 id="dual">The price of safety</h2>
${drawn ? curves(data, document) : multipliers(data)}</section>
`;
}

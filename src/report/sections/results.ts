import { figure } from '../charts/chart.ts';
import { intervalChart } from '../charts/intervals.ts';
import type { Estimate, ReportData } from '../data.ts';
import { asksForMargin, rewardChange, safetyChange } from '../findings.ts';
import { interval, plural, score, signed } from '../format.ts';
import type { Html } from '../html.ts';
import { html, isolated } from '../html.ts';
import { rewardTitle, safetyName } from '../words.ts';
import { pill } from './verdict.ts';

function measured(value: Estimate, gain?: Estimate): Html {
  return html`<td><b>${score(value.mean)}</b><small>${interval(value.interval)}</small>${gain && html`<small>change ${signed(gain.mean)}</small>`}</td>`;
}

function predicted(value: number, change?: number): Html {
  return html`<td><b>${score(value)}</b>${change !== undefined && html`<small>change ${signed(change)}</small>`}</td>`;
}

function table(data: ReportData): Html {
  const { dual, evaluation, constraints } = data;
  const reward = rewardChange(data);
  const safety = constraints.map((_, index) => {
    const change = safetyChange(data, index);
    return html`<tr><th scope="row">${isolated(safetyName(data, index))}<small>bound ${score(evaluation.bounds[index]!)}</small>${pill(evaluation.verdicts[index]!)}</th>${measured(evaluation.reference.safety[index]!)}${predicted(evaluation.predicted.safety[index]!, change.predicted)}${measured(evaluation.aligned.safety[index]!, change.achieved)}</tr>\n`;
  });
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of results"><table class="numbers">
<caption>Means over ${plural(evaluation.prompts, 'held-out prompt')} × ${plural(evaluation.responses, 'response')} with 95 % intervals. Predicted: the reference’s responses to them, weighted as λ* from ${plural(dual.prompts, 'other prompt')} says.</caption>
<thead><tr><th scope="col">Quantity</th><th scope="col" class="reference">Reference</th><th scope="col" class="predicted">Predicted</th><th scope="col" class="aligned">Achieved</th></tr></thead>
<tbody>
${safety}<tr><th scope="row">${isolated(rewardTitle(data))}</th>${measured(evaluation.reference.reward)}${predicted(evaluation.predicted.reward, reward.predicted)}${measured(evaluation.aligned.reward, reward.achieved)}</tr>
<tr><th scope="row">KL from the reference<small>nats per response</small></th><td><b>0</b></td>${predicted(evaluation.predicted.kl)}${measured(evaluation.aligned.kl)}</tr>
</tbody></table></div>
`;
}

function safetyFigure(data: ReportData, document: Document, index: number): Html {
  const { evaluation } = data;
  const name = safetyName(data, index);
  if (asksForMargin(data, index)) {
    // The verdict rests on the paired change, whose interval is free of the spread between prompts.
    const { predicted, achieved } = safetyChange(data, index);
    const drawing = intervalChart(
      document,
      `Change of ${name}`,
      [
        { name: 'reference', mean: 0 },
        { name: 'predicted', mean: predicted },
        { name: 'aligned', ...achieved },
      ],
      { threshold: data.constraints[index]!.margin, format: signed },
    );
    return figure(
      html`Change of ${isolated(name)}`,
      'Against the reference; right of the dashed margin is safe enough.',
      drawing,
    );
  }
  const drawing = intervalChart(
    document,
    `Mean ${name}`,
    [
      { name: 'reference', ...evaluation.reference.safety[index]! },
      { name: 'predicted', mean: evaluation.predicted.safety[index]! },
      { name: 'aligned', ...evaluation.aligned.safety[index]! },
    ],
    { threshold: evaluation.bounds[index]! },
  );
  return figure(isolated(name), 'Right of the dashed bound is safe enough.', drawing);
}

function figures(data: ReportData, document: Document): Html {
  const { evaluation, constraints } = data;
  const reward = intervalChart(document, 'Mean reward', [
    { name: 'reference', ...evaluation.reference.reward },
    { name: 'predicted', mean: evaluation.predicted.reward },
    { name: 'aligned', ...evaluation.aligned.reward },
  ]);
  const divergence = intervalChart(document, 'KL from the reference', [
    { name: 'reference', mean: 0 },
    { name: 'predicted', mean: evaluation.predicted.kl },
    { name: 'aligned', ...evaluation.aligned.kl },
  ]);
  return html`<div class="charts">
${constraints.map((_, index) => safetyFigure(data, document, index))}${figure(isolated(rewardTitle(data)), 'Further right is better.', reward)}${figure('KL from the reference', 'How far the policy moved, in nats per response.', divergence)}</div>
`;
}

/** Reference, prediction and outcome side by side, as numbers and as charts. */
export function resultSection(data: ReportData, document: Document): Html {
  return html`<section aria-labelledby="results">
<h2 id="results">Predicted and achieved</h2>
${table(data)}${figures(data, document)}</section>
`;
}

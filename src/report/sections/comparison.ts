import { figure } from '../charts/chart.ts';
import { type IntervalRow, intervalChart } from '../charts/intervals.ts';
import type { Alignment, Comparison, Estimate, ReportData } from '../data.ts';
import { interval, percent, plural, score } from '../format.ts';
import type { Html } from '../html.ts';
import { html, isolated } from '../html.ts';
import {
  baselineSentences,
  comparisonSentences,
  measuredValue,
  policyName,
  rewardTitle,
  safetyName,
} from '../words.ts';

/** Policies side by side; empty where the run has neither baselines nor measures of its own. */
export function comparisonSection(data: ReportData, document: Document): Html {
  const { comparison } = data;
  if (!comparison) return html``;
  const { measures } = comparison;
  return html`<section aria-labelledby="comparison">
<h2 id="comparison">${title(comparison)}</h2>
<p class="note">${measures.length > 0 && `${measures.map(({ name }) => name).join(' and ')} took no part in the run: they only measure the held-out responses, which its own scorers see too. `}${baselineSentences(comparison).join(' ')}</p>
<dl class="facts">
${comparisonSentences(data).map(([term, text]) => html`<div><dt>${term}</dt><dd>${text}</dd></div>\n`)}</dl>
${table(data, comparison)}${figures(data, comparison, document)}</section>
`;
}

function title({ alignments: [, , ...others] }: Comparison): string {
  if (others.length === 0) return 'By measures that took no part in the run';
  const goals = others.every(({ name }) => name === 'helpful' || name === 'safe');
  return goals ? 'Beside aligning to one goal alone' : 'Beside other ways to align';
}

function table(data: ReportData, { measures, alignments }: Comparison): Html {
  const { evaluation, constraints } = data;
  const header = alignments.map(({ name }) => {
    const colour = name === 'reference' || name === 'aligned' ? name : '';
    return html`<th scope="col" class="${colour}">${policyName(name)}</th>`;
  });
  const row = (
    term: string,
    note: string,
    value: (alignment: Alignment) => Estimate,
    format = score,
  ) => html`<tr><th scope="row">${isolated(term)}<small>${note}</small></th>${alignments.map((alignment) => {
    const { mean, interval: range } = value(alignment);
    return html`<td><b>${format(mean)}</b><small>${interval(range, format)}</small></td>`;
  })}</tr>
`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Policies side by side"><table class="numbers">
<caption>Means over ${plural(evaluation.prompts, 'held-out prompt')} × ${plural(evaluation.responses, 'response')} with 95 % intervals.</caption>
<thead><tr><th scope="col">Quantity</th>${header}</tr></thead>
<tbody>
${measures.map((measure, j) =>
  row(
    measure.name,
    `${measure.cost ? 'less' : 'more'} is better`,
    ({ measured }) => measured[j]!,
    measuredValue(measure),
  ),
)}${row(rewardTitle(data), 'more is better', ({ reward }) => reward)}${constraints.map((_, j) =>
  row(safetyName(data, j), `asked: at least ${score(evaluation.bounds[j]!)}`, ({ safety }) => safety[j]!),
)}</tbody></table></div>
`;
}

function figures(data: ReportData, { measures, alignments }: Comparison, document: Document): Html {
  const rows = (value: (alignment: Alignment) => Estimate) =>
    alignments.map((alignment): IntervalRow => ({ name: policyName(alignment.name), ...value(alignment) }));
  const independent = measures.map((measure, j) => {
    const values = rows(({ measured }) => measured[j]!);
    const drawing = intervalChart(document, measure.name, values, {
      format: measuredValue(measure),
      ...(measure.share ? { tick: percent } : {}),
    });
    return figure(isolated(measure.name), `Further ${measure.cost ? 'left' : 'right'} is better.`, drawing);
  });
  const own = data.constraints.map((_, j) => {
    const values = rows(({ safety }) => safety[j]!);
    const threshold = data.evaluation.bounds[j]!;
    const drawing = intervalChart(document, safetyName(data, j), values, { threshold });
    return figure(isolated(safetyName(data, j)), 'Right of the dashed bound is safe enough.', drawing);
  });
  return html`<div class="charts">
${independent}${own}</div>
`;
}

import type { DualSummary, ReportData } from '../data.ts';
import { count, interval, plural, score, setting, significant } from '../format.ts';
import type { Html } from '../html.ts';
import { html, isolated } from '../html.ts';
import { safetyName } from '../words.ts';

const STATUS: Readonly<Record<DualSummary['status'], string>> = {
  optimal: 'optimal: the threshold can be reached and λ* is its exact price',
  'nearly-infeasible': 'nearly infeasible: the threshold is at the edge of what these samples can reach',
  infeasible: 'infeasible: no reweighting of these samples reaches the threshold',
};

function line(name: string | Html, value: string | Html): Html {
  return html`<tr><th scope="row">${name}</th><td dir="auto">${value}</td></tr>\n`;
}

function diagnostics(data: ReportData): Html {
  const { dual, constraints } = data;
  const multipliers = constraints.map((_, index) => {
    const bounds = dual.lambdaIntervals[index];
    const name =
      constraints.length > 1 ? html`λ of ${isolated(constraints[index]!.name)}` : html`λ*, price of safety`;
    return line(
      name,
      `${significant(dual.lambda[index]!)}${bounds ? `, 95 % interval ${interval(bounds, significant)}` : ''}`,
    );
  });
  const safety = constraints.map((_, index) =>
    line(
      html`E[g], ${isolated(safetyName(data, index))}`,
      `${score(dual.expected.safety[index]!)} predicted, ${score(dual.reference.safety[index]!)} reference`,
    ),
  );
  return html`<table class="pairs">
<caption>What the dual says, before any training</caption>
<tbody>
${line('Status', STATUS[dual.status])}${line('Sample', `${plural(dual.prompts, 'prompt')} × ${plural(dual.responses, 'response')}`)}${line('β, weight of KL', setting(dual.beta))}${multipliers}${line('D(λ*), dual value', score(dual.dual))}${line('E[r], reward', `${score(dual.expected.reward)} predicted, ${score(dual.reference.reward)} reference`)}${safety}${line('KL from the reference', `${score(dual.kl)} nats predicted`)}${line('Effective sample size', `${significant(dual.essMedian)} of ${count(dual.responses)} responses in the median prompt`)}</tbody></table>
`;
}

function settings(data: ReportData): Html {
  return html`<table class="pairs">
<caption>What was run</caption>
<tbody>
${data.settings.map(([name, value]) => line(isolated(name), value))}</tbody></table>
`;
}

/** Settings of the run beside the diagnostics of its dual. */
export function diagnosticsSection(data: ReportData): Html {
  return html`<section aria-labelledby="details">
<h2 id="details">Settings and diagnostics</h2>
<div class="halves">
${settings(data)}${diagnostics(data)}</div>
</section>
`;
}

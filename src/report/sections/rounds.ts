import { figure } from '../charts/chart.ts';
import { intervalChart } from '../charts/intervals.ts';
import type { ReportData, RoundSummary } from '../data.ts';
import { asksForMargin } from '../findings.ts';
import { interval, score, signed, significant } from '../format.ts';
import type { Html } from '../html.ts';
import { html, isolated } from '../html.ts';
import { safetyName } from '../words.ts';
import { pill } from './verdict.ts';

function cell(value: string, ...notes: readonly string[]): Html {
  return html`<td><b>${value}</b>${notes.map((note) => html`<small>${note}</small>`)}</td>`;
}

function table(data: ReportData, rounds: readonly RoundSummary[], index: number): Html {
  const { evaluation, dual, constraints } = data;
  const rows = rounds.map(({ lambda, predicted, achieved, essMedian, heldOut }, round) => {
    const after = heldOut.safety[index]!;
    const draws = round === 0 ? 'the reference' : `round ${round}`;
    return html`<tr><th scope="row">${round + 1}${pill(heldOut.verdicts[index]!)}</th>${cell(significant(lambda[index]!), `from ${draws}`, `${significant(essMedian)} effective samples of ${dual.responses}`)}${cell(score(predicted.safety[index]!))}${achieved ? cell(score(achieved.safety[index]!)) : cell('–')}${cell(score(after.mean), interval(after.interval), `change ${signed(heldOut.gain[index]!.mean)}`)}${cell(score(heldOut.reward.mean))}${cell(score(heldOut.kl.mean))}</tr>
`;
  });
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Rounds"><table class="numbers">
<caption>${isolated(safetyName(data, index))}; asked ${score(constraints[index]!.threshold)} on the training prompts, ${score(evaluation.bounds[index]!)} on those held out.</caption>
<thead><tr><th scope="col">Round</th><th scope="col">λ</th><th scope="col">Predicted, training prompts</th><th scope="col">Achieved there</th><th scope="col">Achieved, held out</th><th scope="col">Reward</th><th scope="col">KL</th></tr></thead>
<tbody>
${rows}</tbody></table></div>
`;
}

function drawing(data: ReportData, rounds: readonly RoundSummary[], index: number, document: Document): Html {
  const relative = asksForMargin(data, index);
  const name = `${relative ? 'Change of ' : ''}${safetyName(data, index)}`;
  const rows = rounds.map(({ heldOut }, round) => ({
    name: `round ${round + 1}`,
    ...(relative ? heldOut.gain : heldOut.safety)[index]!,
  }));
  const chart = intervalChart(document, `${name} after each round`, rows, {
    threshold: relative ? data.constraints[index]!.margin : data.evaluation.bounds[index]!,
    ...(relative ? { format: signed } : {}),
  });
  return figure(
    isolated(name),
    'On the held-out prompts after each round; right of the dashed line is safe enough.',
    chart,
  );
}

/** What each round of training predicted and achieved; empty where there was one. */
export function roundsSection(data: ReportData, document: Document): Html {
  const { rounds } = data;
  if (!rounds) return html``;
  return html`<section aria-labelledby="rounds">
<h2 id="rounds">Round by round</h2>
<p class="note">After the first training λ is found again from what the policy has come to answer: up where it fell short of what was asked, down where it went beyond.</p>
${data.constraints.map((_, index) => table(data, rounds, index))}<div class="charts">
${data.constraints.map((_, index) => drawing(data, rounds, index, document))}</div>
</section>
`;
}

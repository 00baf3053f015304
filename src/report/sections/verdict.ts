import type { ReportData } from '../data.ts';
import type { Verdict } from '../findings.ts';
import { asksForMargin, safetyChange, tally } from '../findings.ts';
import { interval, score, signed } from '../format.ts';
import type { Html } from '../html.ts';
import { html, isolated } from '../html.ts';
import {
  besideReference,
  divergenceSentence,
  headline,
  priceSentence,
  rewardSentences,
  safetySentence,
  warnings,
} from '../words.ts';

const SIGN: Readonly<Record<Verdict, string>> = { met: '✓', 'not met': '✕', uncertain: '?' };
const TONE: Readonly<Record<Verdict, string>> = { met: 'good', 'not met': 'bad', uncertain: 'open' };

/** A verdict that reads without its colour. */
export function pill(verdict: Verdict): Html {
  return html`<span class="pill ${TONE[verdict]}"><span aria-hidden="true">${SIGN[verdict]}</span> ${verdict}</span>`;
}

function row(term: string | Html, description: string | Html): Html {
  return html`<div><dt>${term}</dt><dd>${description}</dd></div>\n`;
}

function tile(kind: string, term: string, value: string, ...notes: readonly string[]): Html {
  return html`<div class="${kind}"><dt>${term}</dt><dd><b>${value}</b>${notes.map((note) => html`<small>${note}</small>`)}</dd></div>\n`;
}

/** The three numbers on which the verdict rests: levels, or for a margin changes. */
function tiles(data: ReportData, index: number): Html {
  const { evaluation, constraints } = data;
  const { threshold, margin } = constraints[index]!;
  const { predicted, achieved } = safetyChange(data, index);
  const aligned = evaluation.aligned.safety[index]!;
  const foreseen = evaluation.predicted.safety[index]!;
  return asksForMargin(data, index)
    ? html`<dl class="tiles">
${tile('asked', 'Asked', `≥\u202f${signed(margin)}`, `to at least ${score(evaluation.bounds[index]!)}`)}${tile('predicted', 'Predicted', signed(predicted), `to ${score(foreseen)}`)}${tile('aligned', 'Achieved', signed(achieved.mean), `95 %: ${interval(achieved.interval, signed)}`, `to ${score(aligned.mean)}`)}</dl>
`
    : html`<dl class="tiles">
${tile('asked', 'Asked', `≥\u202f${score(threshold)}`, besideReference(margin))}${tile('predicted', 'Predicted', score(foreseen), `change ${signed(predicted)}`)}${tile('aligned', 'Achieved', score(aligned.mean), `95 %: ${interval(aligned.interval)}`, `change ${signed(achieved.mean)}`)}</dl>
`;
}

function constraint(data: ReportData, index: number): Html {
  const { name, cost } = data.constraints[index]!;
  const verdict = data.constraints.length > 1 && html` ${pill(data.evaluation.verdicts[index]!)}`;
  const kind = asksForMargin(data, index) ? ': change against the reference' : '';
  return html`<h3><span>Mean safety${cost && ', minus the cost'} by ${isolated(name)}${kind}</span>${verdict}</h3>
${tiles(data, index)}<dl class="facts">
${row('In words', safetySentence(data, index))}${row('Price of safety', priceSentence(data, index))}</dl>
`;
}

/** The outcome in plain words: first what was asked and what came of it, then what it cost. */
export function verdictSection(data: ReportData): Html {
  const { worst } = tally(data.evaluation.verdicts);
  return html`<section class="verdict ${TONE[worst]}" aria-labelledby="verdict">
<h2 id="verdict"><span class="sign" aria-hidden="true">${SIGN[worst]}</span> <span>${headline(data)}</span></h2>
${data.constraints.map((_, index) => constraint(data, index))}${data.constraints.length > 1 && html`<h3>Altogether</h3>\n`}<dl class="facts">
${row('Reward', rewardSentences(data).join(' '))}${row('Distance moved', html`KL from the reference: ${divergenceSentence(data)}`)}</dl>
</section>
`;
}

/** What to know before believing the figures; nothing when there is nothing. */
export function warningSection(data: ReportData): Html {
  const list = warnings(data);
  if (list.length === 0) return html``;
  return html`<section class="warnings" aria-labelledby="warnings">
<h2 id="warnings"><span aria-hidden="true">⚠</span> Before relying on these figures</h2>
<ul>
${list.map((warning) => html`<li dir="auto">${warning}</li>\n`)}</ul>
</section>
`;
}

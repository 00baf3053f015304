import type { ReportData } from '../data.ts';
import { interval, percent, plural } from '../format.ts';
import { type Html, html, isolated } from '../html.ts';
import { winSentence } from '../judgement.ts';
import { sentence } from '../words.ts';

/** What a judge says who is none of the run's scorers; nothing where none was asked. */
export function judgementSection({ judgement }: ReportData): Html {
  if (!judgement) return html``;
  const rows = judgement.rates.map(
    ({ question, wins, ties, losses, rate }) =>
      html`<tr><th scope="row">${question}</th><td>${rate ? html`<b>${percent(rate.mean)}</b><small>${interval(rate.interval, percent)}</small>` : 'none'}</td><td>${String(wins)}</td><td>${String(ties)}</td><td>${String(losses)}</td></tr>\n`,
  );
  const compared = judgement.rates.map(
    ({ wins, ties, losses, unjudged }) => wins + ties + losses + unjudged,
  )[0]!;
  return html`<section aria-labelledby="judgement">
<h2 id="judgement">What a judge says</h2>
<p>${judgement.rates.map((rate) => html`${sentence(winSentence(rate))} `)}</p>
<div class="scroll" tabindex="0" role="region" aria-label="Table of win rates"><table class="numbers">
<caption>${plural(compared, 'answer')} of the aligned policy, each against the reference’s to the same prompt, judged by ${isolated(judgement.judge)}. The win rate counts a tie as half; 95 % intervals over prompts.</caption>
<thead><tr><th scope="col">Question</th><th scope="col">Win rate</th><th scope="col">Won</th><th scope="col">Tied</th><th scope="col">Lost</th></tr></thead>
<tbody>
${rows}</tbody></table></div>
</section>
`;
}

import type { ReportData, TextSample } from '../data.ts';
import { count, plural, score, signed } from '../format.ts';
import type { Html } from '../html.ts';
import { html, isolated } from '../html.ts';

/** Samples shown at once; the rest unfold. */
const SHOWN = 4;
/** Longer texts are cut: the run folder has them whole. */
const LONGEST = 3000;

function shortened(text: string): Html {
  const characters = Array.from(text.trim());
  if (characters.length <= LONGEST) return html`${characters.join('')}`;
  const rest = characters.length - LONGEST;
  return html`${characters.slice(0, LONGEST).join('')}<i>… ${plural(rest, 'more character')}</i>`;
}

type Side = TextSample['reference'];

function scoreList(data: ReportData, side: Side, before?: Side): Html {
  const item = (name: string, value: number, old?: number) =>
    html`<li>${isolated(name)} <b>${score(value)}</b>${old !== undefined && html` <small>(${signed(value - old)})</small>`}</li>`;
  const many = data.constraints.length > 1;
  return html`<ul class="scores">${item('reward', side.reward, before?.reward)}${side.safety.map(
    (value, index) =>
      item(
        many ? `safety ${data.constraints[index]?.name ?? index + 1}` : 'safety',
        value,
        before?.safety[index],
      ),
  )}</ul>`;
}

function column(data: ReportData, name: 'reference' | 'aligned', side: Side, before?: Side): Html {
  return html`<div class="${name}"><h4>${name === 'reference' ? 'Reference' : 'Aligned'}</h4>${scoreList(data, side, before)}<p class="text" dir="auto">${side.response.trim() === '' ? html`<i>(empty)</i>` : shortened(side.response)}</p></div>
`;
}

function article(data: ReportData, sample: TextSample): Html {
  return html`<article class="sample"><h3 dir="auto">${shortened(sample.prompt)}</h3>
<div class="halves">${column(data, 'reference', sample.reference)}${column(data, 'aligned', sample.aligned, sample.reference)}</div></article>
`;
}

/** Responses of both policies to the same prompts, with their scores. */
export function sampleSection(data: ReportData): Html {
  if (data.samples.length === 0) return html``;
  const [first, rest] = [data.samples.slice(0, SHOWN), data.samples.slice(SHOWN)];
  return html`<section aria-labelledby="samples">
<h2 id="samples">Texts before and after</h2>
<p class="note">Held-out prompts, one response of each policy as it came, not picked. In brackets the change against the reference’s response.</p>
${first.map((sample) => article(data, sample))}${
  rest.length > 0 &&
  html`<details><summary>${count(rest.length)} more</summary>
${rest.map((sample) => article(data, sample))}</details>
`
}</section>
`;
}

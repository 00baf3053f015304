import { type Html, html } from '../report/html.ts';

/** Rows of cells as a table of a page, the first the header. */
export function tableHtml([header, ...rows]: readonly (readonly string[])[], caption = ''): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table"><table class="numbers plain">
<caption>${caption}</caption>
<thead><tr>${header!.map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead>
<tbody>
${rows.map(([first, ...cells]) => html`<tr><th scope="row">${first!}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>\n`)}</tbody></table></div>
`;
}

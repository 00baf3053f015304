import type { ReportData } from './data.ts';
import { blankDocument } from './document.ts';
import { plural, setting } from './format.ts';
import { Html, html } from './html.ts';
import { diagnosticsSection } from './sections/diagnostics.ts';
import { distributionSection } from './sections/distributions.ts';
import { dualSection } from './sections/dual.ts';
import { guideSection } from './sections/guide.ts';
import { resultSection } from './sections/results.ts';
import { sampleSection } from './sections/samples.ts';
import { trainingSection } from './sections/training.ts';
import { verdictSection, warningSection } from './sections/verdict.ts';
import { STYLE } from './style.ts';

export { renderSummary } from './summary.ts';

/** Nothing may be fetched or run, even if some text found a way around the escaping. */
export const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/**
 * The report as one HTML file that needs nothing else: no script, no font, no network. The same `data` give the same
 * bytes in Node and Deno. `document` draws the charts; a page may pass its own.
 */
export function renderReport(data: ReportData, document: Document = blankDocument()): string {
  const { dual, evaluation } = data;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Html(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="dualign">
<link rel="icon" href="data:,">
<title>${data.title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<header>
<p class="kind">dualign report</p>
<h1 dir="auto">${data.title}</h1>
<p class="lede">λ* from ${plural(dual.prompts, 'prompt')} × ${plural(dual.responses, 'response')} at β = ${setting(dual.beta)}, measured on ${plural(evaluation.prompts, 'held-out prompt')} × ${plural(evaluation.responses, 'response')}.</p>
</header>
<main>
${verdictSection(data)}${warningSection(data)}${resultSection(data, document)}${dualSection(data, document)}${distributionSection(data, document)}${trainingSection(data, document)}${sampleSection(data)}${diagnosticsSection(data)}${guideSection(data)}</main>
</body>
</html>
`;
  return page.markup;
}

import type { ReportData } from './data.ts';
import { blankDocument } from './document.ts';
import { plural, setting } from './format.ts';
import { pageOf } from './page.ts';
import { comparisonSection } from './sections/comparison.ts';
import { diagnosticsSection } from './sections/diagnostics.ts';
import { distributionSection } from './sections/distributions.ts';
import { dualSection } from './sections/dual.ts';
import { guideSection } from './sections/guide.ts';
import { judgementSection } from './sections/judgement.ts';
import { resultSection } from './sections/results.ts';
import { roundsSection } from './sections/rounds.ts';
import { sampleSection } from './sections/samples.ts';
import { trainingSection } from './sections/training.ts';
import { verdictSection, warningSection } from './sections/verdict.ts';

export { renderSummary } from './summary.ts';

/**
 * The report as one HTML file that needs nothing else: no script, no font, no network. The same `data` give the same
 * bytes in Node and Deno. `document` draws the charts; a page may pass its own.
 */
export function renderReport(data: ReportData, document: Document = blankDocument()): string {
  const { dual, evaluation } = data;
  return pageOf({
    title: data.title,
    kind: 'dualign report',
    heading: data.title,
    lede: `λ* from ${plural(dual.prompts, 'prompt')} × ${plural(dual.responses, 'response')} at β = ${setting(dual.beta)}, measured on ${plural(evaluation.prompts, 'held-out prompt')} × ${plural(evaluation.responses, 'response')}.`,
    sections: [
      verdictSection(data),
      warningSection(data),
      comparisonSection(data, document),
      resultSection(data, document),
      roundsSection(data, document),
      judgementSection(data),
      dualSection(data, document),
      distributionSection(data, document),
      trainingSection(data, document),
      sampleSection(data),
      diagnosticsSection(data),
      guideSection(data),
    ],
  });
}

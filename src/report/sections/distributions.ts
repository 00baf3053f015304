import { figure } from '../charts/chart.ts';
import { histogram, histogramChart } from '../charts/histogram.ts';
import type { ReportData } from '../data.ts';
import { plural } from '../format.ts';
import type { Html } from '../html.ts';
import { html, isolated } from '../html.ts';
import { rewardTitle, safetyName } from '../words.ts';

/** Scores of all responses before and after. */
export function distributionSection(data: ReportData, document: Document): Html {
  const { scores, evaluation, constraints } = data;
  const drawing = (
    name: string,
    reference: readonly number[],
    aligned: readonly number[],
    means: { readonly reference: number; readonly aligned: number },
    sentence: string,
    threshold?: number,
  ): Html => {
    const bins = histogram(reference, aligned);
    const beyond =
      bins.outside > 0
        ? ` ${plural(bins.outside, 'score')} beyond the axis counted in the outermost bars.`
        : '';
    return figure(isolated(name), sentence + beyond, histogramChart(document, name, bins, means, threshold));
  };
  const safety = constraints.map((_, index) =>
    drawing(
      safetyName(data, index),
      scores.reference.safety[index] ?? [],
      scores.aligned.safety[index] ?? [],
      {
        reference: evaluation.reference.safety[index]!.mean,
        aligned: evaluation.aligned.safety[index]!.mean,
      },
      'The bound, dashed, is on the mean: single responses may lie left of it.',
      evaluation.bounds[index],
    ),
  );
  const reward = drawing(
    rewardTitle(data),
    scores.reference.reward,
    scores.aligned.reward,
    { reference: evaluation.reference.reward.mean, aligned: evaluation.aligned.reward.mean },
    'All responses to the held-out prompts.',
  );
  return html`<section aria-labelledby="scores">
<h2 id="scores">Scores before and after</h2>
<div class="charts">
${safety}${reward}</div>
</section>
`;
}

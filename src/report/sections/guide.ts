import type { ReportData } from '../data.ts';
import type { Html } from '../html.ts';
import { html } from '../html.ts';

function entry(term: string, meaning: string): Html {
  return html`<div><dt>${term}</dt><dd>${meaning}</dd></div>\n`;
}

/** The terms of the report in plain words. */
export function guideSection({ dual }: ReportData): Html {
  return html`<section aria-labelledby="guide">
<h2 id="guide">How to read this report</h2>
<dl class="guide">
${entry('Reference, predicted, aligned', 'The reference is the policy before alignment. Predicted is the best policy under the constraint, as computed from responses of the reference alone. Aligned is what training really produced. The three keep their colours and shapes in all charts.')}${entry('Met, not met, uncertain', 'Met: the whole 95 % interval of the achieved mean safety lies at or above the threshold. Not met: it lies wholly below. Uncertain: the threshold lies inside it; more held-out prompts would narrow it. Where a margin over the reference was asked, the interval of the change decides.')}${entry('95 % interval', 'From resampling the prompts. It covers which prompts were drawn, not another training seed or another scorer.')}${entry('λ*, the price of safety', 'How much of the objective, mean reward − β·KL, one more unit of threshold costs at the margin. Zero means that the constraint does not bind.')}${entry('D(λ), the dual', 'The value of the best policy when violating the constraint is charged at the price λ. Its lowest point is the price that just secures the constraint, and its value there is the best objective that can be had under it.')}${entry('KL', 'Distance of a policy from the reference in nats per response. Reweighting samples, as the prediction does, cannot go beyond the logarithm of the number of responses per prompt.')}${entry('Effective sample size', `How many of the ${dual.responses} responses per prompt carry the prediction. Near 1, the prediction is in truth the best of ${dual.responses}: it depends on that number and is usually too hopeful.`)}${entry('When achieved falls short of predicted', 'The prediction is of the ideal policy. A small adapter, few pairs or a short training reach only part of it; the loss, the margin and the achieved KL show how much. Scores that reward odd texts are another cause: read the samples.')}</dl>
</section>
`;
}

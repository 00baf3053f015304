import type { DualPageData } from '../dual_page.ts';
import type { Html } from '../html.ts';
import { html } from '../html.ts';

function entry(term: string, meaning: string): Html {
  return html`<div><dt>${term}</dt><dd>${meaning}</dd></div>\n`;
}

/** The terms of the page in plain words. */
export function readingSection({ responses }: DualPageData): Html {
  return html`<section aria-labelledby="guide">
<h2 id="guide">How to read this page</h2>
<dl class="guide">
${entry('Reference, predicted', 'The reference is the policy that the responses were drawn from. Predicted is the best policy under the thresholds, found by weighing those responses anew. Nothing has been trained.')}${entry('λ*, the price of safety', 'How much of the objective, mean reward − β·KL, one more unit of threshold costs at the margin. Training on reward + λ*ᵀsafety gives the policy predicted here.')}${entry('KL', `Distance from the reference in nats per response. Weighing ${responses} responses a prompt anew cannot show more than the logarithm of ${responses}.`)}${entry('Effective sample size', `How many of the ${responses} responses a prompt carry the prediction. Near 1, the prediction is in truth the best of ${responses}: it depends on that number and is usually too hopeful.`)}${entry('95 % interval', 'Over which prompts were drawn. It does not cover another scorer, or what training falls short of.')}</dl>
</section>
`;
}

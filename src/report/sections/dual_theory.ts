import { figure } from '../charts/chart.ts';
import { convergenceChart } from '../charts/convergence.ts';
import type { DualPageData } from '../dual_page.ts';
import { count, interval, significant } from '../format.ts';
import type { Html } from '../html.ts';
import { html } from '../html.ts';
import { methodsOf, passesTo } from '../methods.ts';

/** Digits of D that doubles hold. */
const ROUNDING = 1e-15;
const TOLERANCES = [1e-2, 1e-4, 1e-6, 1e-8];

/** How fast λ* is found: gradient descent beside Newton. */
export function convergenceSection({ convergence }: DualPageData, document: Document): Html {
  if (!convergence) return html``;
  const { lambda, dual, curvature } = convergence;
  const methods = methodsOf(convergence);
  const rows = methods.map(
    ({ name, trace, descent }) =>
      html`<tr><th scope="row">${name}</th><td>${descent ? significant(descent.rate) : ''}</td>${TOLERANCES.map(
        (tolerance) => {
          const passes = passesTo(trace, tolerance);
          return html`<td>${passes === undefined ? '–' : count(passes)}</td>`;
        },
      )}</tr>\n`,
  );
  const gap = {
    axis: 'log₁₀ of D(λ) − D(λ*)',
    value: (point: { gap: number }) => point.gap,
    floor: ROUNDING * Math.max(1, Math.abs(dual)),
  };
  const gradient = {
    axis: 'log₁₀ of its length',
    value: (point: { projectedGradient: number }) => point.projectedGradient,
    floor: 1e-14,
  };
  const price = (j: number) => ({
    axis: lambda.length > 1 ? `λ ${j + 1}` : 'λ',
    value: (point: { lambda: readonly number[] }) => point.lambda[j]!,
    goal: lambda[j]!,
  });
  return html`<section aria-labelledby="convergence">
<h2 id="convergence">How fast λ* is found</h2>
<p class="note">Projected gradient descent, λ := max(0, λ − step·∇D), beside projected Newton, from the same λ. The curvature of D is ${[...new Set([curvature.smallest, curvature.largest].map(significant))].join(' to ')} at λ* and nowhere above L = ${significant(curvature.smoothness)}: steps of 1/L never raise D, and near λ* each pass multiplies the distance by at most the rate.</p>
<div class="charts">
${figure('Objective', 'How far D is above its minimum; the floor is rounding.', convergenceChart(document, methods, gap))}${figure('Gradient', 'But for the part that λ ≥ 0 holds back.', convergenceChart(document, methods, gradient))}${lambda.map((_, j) => figure(lambda.length > 1 ? `Price ${j + 1}` : 'Price', 'On its way to λ*, dashed.', convergenceChart(document, methods, price(j))))}</div>
<div class="scroll" tabindex="0" role="region" aria-label="Table of passes"><table class="numbers plain">
<caption>Passes over the scores until the gradient is that short; –: not so far</caption>
<thead><tr><th scope="col">Method</th><th scope="col">Rate</th>${TOLERANCES.map((tolerance) => html`<th scope="col">${tolerance.toExponential().replace('-', '\u2212')}</th>`)}</tr></thead>
<tbody>
${rows}</tbody></table></div>
</section>
`;
}

/** Where λ* may be, were the scores off. */
export function stabilitySection({ stability, solution }: DualPageData): Html {
  if (!stability || !solution) return html``;
  const { lambda, lambdaIntervals, firstOrder, errors, method } = stability;
  const many = lambda.length > 1;
  const off = [
    `reward by ${significant(errors.reward)}`,
    ...errors.safety.map((error, j) => `${many ? `safety ${j + 1}` : 'safety'} by ${significant(error)}`),
  ];
  const rows = lambda.map(
    (value, j) =>
      html`<tr><th scope="row">${many ? `λ* ${j + 1}` : 'λ*'}</th><td><b>${significant(value)}</b></td><td>${interval(lambdaIntervals[j]!, significant)}</td><td>± ${significant(firstOrder[j]!)}</td></tr>\n`,
  );
  const bound =
    method === 'monotone'
      ? 'No scores so near to these have their λ* elsewhere.'
      : 'No scores so near to these have their λ* elsewhere; the true range is narrower, for this one comes from the curvature around λ*.';
  return html`<section aria-labelledby="stability">
<h2 id="stability">If the scores are off</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of λ* under score errors"><table class="numbers plain">
<caption>Where λ* can be if each score is off by at most so much: ${off.join(', ')}. ${bound}</caption>
<thead><tr><th scope="col">Price</th><th scope="col" class="predicted">Found</th><th scope="col">Range</th><th scope="col">For small errors</th></tr></thead>
<tbody>
${rows}</tbody></table></div>
</section>
`;
}

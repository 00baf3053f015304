import type { Interval } from '../../dual/solution.ts';
import { figure } from '../charts/chart.ts';
import { type SizeRow, sizeChart } from '../charts/sizes.ts';
import { type DualPageData, scoreName } from '../dual_page.ts';
import { count, interval, plural, score, setting, significant } from '../format.ts';
import type { Html } from '../html.ts';
import { html } from '../html.ts';

/** How sure the figures are: intervals over the draw of prompts. */
export function certaintySection(data: DualPageData): Html {
  const { solution, bootstrap } = data;
  if (solution?.status !== 'optimal') return html``;
  const { optimum, policy } = solution.intervals;
  const named = (name: string, j: number) => (solution.lambda.length > 1 ? `${name} ${j + 1}` : name);
  const line = (
    name: string,
    value: string,
    intervals: readonly (Interval | undefined)[],
    format = score,
  ): Html =>
    html`<tr><th scope="row">${name}</th><td><b>${value}</b></td>${intervals.map((bounds) => html`<td>${bounds ? interval(bounds, format) : ''}</td>`)}</tr>\n`;
  const columns = (best: Interval, found: Interval | undefined, resampled: Interval | undefined) =>
    bootstrap ? [best, found, resampled] : [best, found];
  return html`<section aria-labelledby="certainty">
<h2 id="certainty">How sure this is</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of intervals"><table class="numbers plain">
<caption>95 % intervals over which prompts were drawn, the responses given. Optimum: of the best policy for all prompts of this kind. This policy: of the one with the λ* found here, on all prompts of this kind. Objective: reward − β·KL.</caption>
<thead><tr><th scope="col">Quantity</th><th scope="col" class="predicted">Found</th><th scope="col">Optimum</th><th scope="col">This policy</th>${bootstrap && html`<th scope="col">Optimum, by ${plural(bootstrap.replicates, 'resample')}</th>`}</tr></thead>
<tbody>
${solution.lambda.map((value, j) => line(named('λ*', j), significant(value), columns(solution.lambdaIntervals[j]!, undefined, bootstrap?.lambda[j]), significant))}${line('reward', score(solution.expected.reward), columns(optimum.reward, policy.reward, bootstrap?.optimum.reward))}${solution.expected.safety.map((value, j) => line(scoreName(data, j), score(value), columns(optimum.safety[j]!, policy.safety[j], bootstrap?.optimum.safety[j])))}${line('KL', score(solution.kl), columns(optimum.kl, policy.kl, bootstrap?.optimum.kl))}${line('objective', score(solution.dual), columns(optimum.dual, undefined, bootstrap?.dual))}</tbody></table></div>
${bootstrap && bootstrap.infeasible > 0 && html`<p class="note">${count(bootstrap.infeasible)} of the resamples cannot meet the thresholds.</p>\n`}</section>
`;
}

/** How λ* moves with the number of prompts and responses. */
export function planSection({ plan, prompts, responses, curves }: DualPageData, document: Document): Html {
  if (!plan) return html``;
  const many = curves.length > 1 || plan.lambda.length > 1;
  const charts = plan.lambda.flatMap((lambda, j) =>
    (['prompts', 'responses'] as const).flatMap((axis) => {
      const all: SizeRow = {
        size: axis === 'prompts' ? prompts : responses,
        mean: lambda,
        deviation: axis === 'prompts' ? plan.halfWidth[j]! / 2 : 0,
      };
      const rows = plan[axis].flatMap(({ size, mean, deviation }): SizeRow[] =>
        mean && deviation ? [{ size, mean: mean[j]!, deviation: deviation[j]! }] : [],
      );
      if (rows.length === 0) return [];
      const title = `${many ? `λ* ${j + 1}` : 'λ*'} with fewer ${axis}`;
      const sentence =
        axis === 'prompts'
          ? 'Random subsets scatter around that of all, dashed; bars are standard deviations.'
          : 'Fewer responses shift it: the best policy has less to choose from.';
      return [figure(title, sentence, sizeChart(document, axis, [...rows, all], lambda))];
    }),
  );
  const { target } = plan;
  const need = target
    ? `For ± ${significant(target.value)}: about ${plural(target.prompts, 'prompt')}, and ${target.responses === undefined ? 'no number of responses in sight; raise β' : `about ${plural(target.responses, 'response')} a prompt`}.`
    : '';
  return html`<section aria-labelledby="plan">
<h2 id="plan">What more samples would bring</h2>
<p class="note">${plan.lambda.map((lambda, j) => `λ*${many ? ` ${j + 1}` : ''} = ${significant(lambda)} ± ${significant(plan.halfWidth[j]!)}`).join('; ')} (95 % interval). ${need}</p>
<div class="charts">
${charts}</div>
</section>
`;
}

function line(name: string, value: string): Html {
  return html`<tr><th scope="row">${name}</th><td>${value}</td></tr>\n`;
}

/** What else the solver found, for those who want to check it. */
export function diagnosticSection({ solution, beta, prompts, responses }: DualPageData): Html {
  if (!solution) return html``;
  const shown = solution.responses;
  const sample = `${plural(prompts, 'prompt')} × ${typeof shown === 'number' ? plural(responses, 'response') : `${count(shown[0])} to ${plural(shown[1], 'response')}`}`;
  const solved =
    solution.status === 'infeasible'
      ? html``
      : html`${line('D(λ*), dual value', score(solution.dual))}${line('E[g] − threshold', solution.gradient.map(significant).join(', '))}${line('Effective sample size', `${significant(solution.ess.median)} in the median prompt; ${significant(solution.ess.p10)} to ${significant(solution.ess.p90)} in eight of ten`)}${line('Curvature at λ*', `${significant(solution.curvature.smallest)} to ${significant(solution.curvature.largest)}, nowhere above ${significant(solution.curvature.smoothness)}`)}${line('Passes over the scores', count(solution.iterations))}`;
  return html`<section aria-labelledby="details">
<h2 id="details">Diagnostics</h2>
<table class="pairs">
<tbody>
${line('Status', solution.status)}${line('Sample', sample)}${line('β, weight of KL', setting(beta))}${solved}</tbody></table>
</section>
`;
}

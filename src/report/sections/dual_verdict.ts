import type { Infeasible, Solved } from '../../dual/solution.ts';
import { type DualPageData, scoreName } from '../dual_page.ts';
import { interval, percent, plural, score, signed, significant } from '../format.ts';
import type { Html } from '../html.ts';
import { html } from '../html.ts';

function row(term: string, description: string): Html {
  return html`<div><dt>${term}</dt><dd>${description}</dd></div>\n`;
}

function tile(kind: string, term: string, value: string, note: string): Html {
  return html`<div class="${kind}"><dt>${term}</dt><dd><b>${value}</b><small>${note}</small></dd></div>\n`;
}

function section(tone: string, sign: string, title: string, body: Html): Html {
  return html`<section class="verdict ${tone}" aria-labelledby="verdict">
<h2 id="verdict"><span class="sign" aria-hidden="true">${sign}</span> <span>${title}</span></h2>
${body}</section>
`;
}

/** The outcome in plain words: whether the thresholds can be met, and at what price; nothing where none was asked. */
export function outcomeSection(data: DualPageData): Html {
  const { solution } = data;
  if (!solution) return html``;
  if (solution.status === 'infeasible')
    return section('bad', '✕', 'Out of reach', outOfReach(data, solution));
  const many = solution.thresholds.length > 1;
  if (solution.status === 'nearly-infeasible') {
    return section('open', '?', 'At the very edge of what is within reach', within(data, solution));
  }
  const free = solution.lambda.every((price) => price === 0);
  const title = free
    ? `Within reach, at no cost: the most rewarding policy already meets the threshold${many ? 's' : ''}`
    : `Within reach: the best policy meets the threshold${many ? 's' : ''}`;
  return section('good', '✓', title, within(data, solution));
}

function outOfReach(data: DualPageData, { thresholds, reachable, margins, certificate }: Infeasible): Html {
  const weights = certificate.direction.map((weight, j) => `${percent(weight)} of ${scoreName(data, j)}`);
  const proof =
    certificate.direction.filter((weight) => weight > 0).length > 1
      ? `Weigh the scores as ${weights.join(' and ')}: even the best response to every prompt falls short by ${score(-certificate.value)} on average.`
      : `Even the best response to every prompt falls short by ${score(-certificate.value)} on average.`;
  return html`${thresholds.map(
    (threshold, j) => html`<h3>Mean ${scoreName(data, j)}</h3>
<dl class="tiles">
${tile('asked', 'Asked', `≥\u202f${score(threshold)}`, `${signed(margins[j]!)} over the reference`)}${tile('', 'At most', score(reachable[j]!), 'the best of all responses, on its own')}${tile('reference', 'Reference', score(data.reference.safety[j]!), 'as sampled')}</dl>
`,
  )}<dl class="facts">
${row('Why', `No policy over these responses can do it. ${proof}`)}${row('What now', 'Ask for less, or sample more responses a prompt: only what the reference says now and then can be made more likely.')}</dl>
`;
}

function within(data: DualPageData, solution: Solved): Html {
  const { thresholds, margins, expected, lambda, lambdaIntervals, reference } = solution;
  const gain = expected.reward - reference.reward;
  return html`${thresholds.map((threshold, j) => {
    const change = expected.safety[j]! - reference.safety[j]!;
    return html`<h3>Mean ${scoreName(data, j)}</h3>
<dl class="tiles">
${tile('asked', 'Asked', `≥\u202f${score(threshold)}`, `${signed(margins[j]!)} over the reference`)}${tile('predicted', 'Predicted', score(expected.safety[j]!), `change ${signed(change)}`)}${tile('', 'λ*, its price', significant(lambda[j]!), `95 %: ${interval(lambdaIntervals[j]!, significant)}`)}</dl>
<dl class="facts">
${row('In words', priceOf(lambda[j]!, solution.status))}</dl>
`;
  })}<h3>Altogether</h3>
<dl class="facts">
${row('Reward', `The best such policy ${gain >= 0 ? 'gains' : 'loses'} ${score(Math.abs(gain))}: ${score(expected.reward)}, with ${score(reference.reward)} for the reference.`)}${row('Distance', `Its KL from the reference is ${score(solution.kl)} nats a response.`)}${row('Support', `In the median prompt it rests on ${significant(solution.ess.median)} of ${plural(data.responses, 'response')} (effective sample size).`)}</dl>
`;
}

function priceOf(lambda: number, status: Solved['status']): string {
  if (status === 'nearly-infeasible') {
    return 'The price has no bound here: only the safest responses are left, and the reward no longer counts.';
  }
  return lambda === 0
    ? 'It costs nothing: the constraint does not bind.'
    : `Asking for 0.01 more costs about ${significant(lambda / 100)} of reward − β·KL.`;
}

/** What to know before believing the figures; nothing when there is nothing. */
export function cautionSection({ solution, safe }: DualPageData): Html {
  const list = [...(solution?.warnings ?? [])];
  if (safe) {
    list.push(
      `The thresholds shown are raised by ${safe.tightening.map(score).join(', ')}, so that those asked for hold on prompts not seen with probability ${safe.confidence}.`,
    );
  }
  if (list.length === 0) return html``;
  return html`<section class="warnings" aria-labelledby="warnings">
<h2 id="warnings"><span aria-hidden="true">⚠</span> Before relying on these figures</h2>
<ul>
${list.map((warning) => html`<li>${warning}</li>\n`)}</ul>
</section>
`;
}

import type { DualSolution } from '../../src/dual/solution.ts';
import { shown } from './chart.ts';

export function element(tag: string, className = '', ...children: (string | Node)[]): HTMLElement {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const list = (values: readonly number[]) => values.map(shown).join(', ');

/** λ* and the verdict in words. */
export function verdict(solution: DualSolution): HTMLElement {
  const { status, reachable, thresholds, reference } = solution;
  if (status === 'infeasible') {
    const parts = element('div', 'verdict bad', element('h2', '', 'Out of reach'));
    parts.append(
      element(
        'p',
        '',
        `No policy over these responses reaches ${list(thresholds)}. Each score on its own reaches at most ` +
          `${list(reachable)}; the reference has ${list(reference.safety)}.`,
      ),
    );
    return parts;
  }
  const good = status === 'optimal';
  const free = good && solution.lambda.every((price) => price === 0);
  const title = !good
    ? 'At the edge of what is within reach'
    : free
      ? 'Within reach, at no cost'
      : 'Within reach';
  const parts = element('div', `verdict ${good ? 'good' : 'open'}`, element('h2', '', title));
  const gain = solution.expected.reward - reference.reward;
  parts.append(
    element(
      'p',
      '',
      `The optimal policy has a mean safety of ${list(solution.expected.safety)} (reference ${list(reference.safety)}) and ` +
        `${gain >= 0 ? 'gains' : 'loses'} ${shown(Math.abs(gain))} of reward.`,
    ),
  );
  const intervals = solution.lambdaIntervals.map(
    ([low, high]) => `${shown(low)} to ${shown(high ?? Number.POSITIVE_INFINITY)}`,
  );
  const tile = (name: string, value: string, note: string) =>
    element(
      'div',
      '',
      element('dt', '', name),
      element('dd', '', element('b', '', value), element('small', '', note)),
    );
  parts.append(
    element(
      'dl',
      'tiles',
      tile('λ*', list(solution.lambda), `95 %: ${intervals.join('; ')}`),
      tile('Reward', shown(solution.expected.reward), `reference ${shown(reference.reward)}`),
      tile('KL', shown(solution.kl), 'from the reference'),
      tile('Effective samples', shown(solution.ess.median), 'median of each prompt’s'),
    ),
  );
  return parts;
}

export function warnings(texts: readonly string[]): HTMLElement[] {
  return texts.length === 0
    ? []
    : [element('div', 'warnings', ...texts.map((text) => element('p', '', text)))];
}

export function failure(text: string): HTMLElement {
  return element('div', 'verdict bad', element('h2', '', 'No answer'), element('p', '', text));
}

import type { DualSolution } from '../../src/dual/solution.ts';
import { verdictOf } from '../../web/shared/verdict.ts';

export function element(tag: string, className = '', ...children: (string | Node)[]): HTMLElement {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** λ* and the verdict in words. */
export function verdict(solution: DualSolution): HTMLElement {
  const { tone, title, sentence, tiles } = verdictOf(solution);
  const parts = element('div', `verdict ${tone}`, element('h2', '', title), element('p', '', sentence));
  if (tiles.length === 0) return parts;
  const made = tiles.map(({ name, value, note }) =>
    element(
      'div',
      '',
      element('dt', '', name),
      element('dd', '', element('b', '', value), element('small', '', note)),
    ),
  );
  parts.append(element('dl', 'tiles', ...made));
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

import { escapeHtml, Html } from '../html.ts';

const ELEMENT = 1;
const TEXT = 3;

/** Attributes holding lengths and coordinates in pixels. */
const GEOMETRY = new Set(
  'd transform points x y x1 x2 y1 y2 cx cy r rx ry width height stroke-width dx dy'.split(' '),
);
/** Written once on the chart as a whole, or of use only to a script. */
const DROPPED = new Set(['class', 'aria-label', 'aria-hidden', 'aria-description', 'xmlns']);

const NUMBER = /-?\d+(?:\.\d+)?(?:e[-+]?\d+)?/g;

/** A hundredth of a pixel: too fine to see, coarse enough that the last bits of an engine's Math.pow never show. */
function rounded(value: string): string {
  return value.replace(NUMBER, (digits) => String(Math.round(Number(digits) * 100) / 100 + 0));
}

function attributes(element: Element): string {
  let text = '';
  // Sorted, because DOMs list attributes in different orders.
  const kept = Array.from(element.attributes).filter(({ name }) => !DROPPED.has(name));
  for (const { name, value } of kept.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    text += ` ${name}="${escapeHtml(GEOMETRY.has(name) ? rounded(value) : value)}"`;
  }
  return text;
}

function serialize(node: Node): string {
  if (node.nodeType === TEXT) return escapeHtml(node.textContent ?? '');
  if (node.nodeType !== ELEMENT) return '';
  const element = node as Element;
  const name = element.localName;
  if (name === 'style') return '';
  const content = Array.from(element.childNodes, serialize).join('');
  if (content === '' && name === 'g') return '';
  return content === ''
    ? `<${name}${attributes(element)}/>`
    : `<${name}${attributes(element)}>${content}</${name}>`;
}

/**
 * A drawing as inline SVG with the accessible name `label`. Written by hand rather than by `outerHTML`, whose spelling
 * differs from one DOM to the next, and without the style sheet that the page gives once for all charts.
 */
export function inlineSvg(svg: Element, label: string): Html {
  const content = Array.from(svg.childNodes, serialize).join('');
  const box = escapeHtml(svg.getAttribute('viewBox') ?? '0 0 0 0');
  return new Html(
    `<svg role="img" aria-label="${escapeHtml(label)}" viewBox="${box}" text-anchor="middle" fill="currentColor">${content}</svg>`,
  );
}

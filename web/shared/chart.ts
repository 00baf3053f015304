/** The trade-off as small multiples over one axis of thresholds. */

import { shown } from './numbers.ts';

export interface Point {
  readonly threshold: number;
  readonly lambda: number;
  readonly reward: number;
  readonly kl: number;
  readonly ess: number;
}

type Key = 'reward' | 'lambda' | 'kl';

/** 95 % intervals at a threshold. */
export type Band = { readonly threshold: number } & Readonly<Record<Key, readonly [number, number]>>;

const PANELS: readonly { readonly key: Key; readonly name: string }[] = [
  { key: 'reward', name: 'Mean reward' },
  { key: 'lambda', name: 'λ*, the price of safety' },
  { key: 'kl', name: 'KL from the reference' },
];

const LEFT = 52;
const RIGHT = 14;
const PLOT = 118;
const TITLE = 26;
const GAP = 18;
const AXIS = 44;
const ROOM = 0.25;
const TALL = PANELS.length * (TITLE + PLOT + GAP) + AXIS;

type Attributes = Readonly<Record<string, string | number>>;

function draw(parent: Element, tag: string, attributes: Attributes, text = ''): Element {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.textContent = text;
  parent.append(element);
  return element;
}

/** At least `count` round numbers over [low, high]. */
function ticks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [5, 2, 1].map((factor) => factor * power).find((size) => size <= rough) ?? rough;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

const label = (value: number) => String(Number(value.toPrecision(6))).replace('-', '−');

function bounds(values: readonly number[]): [number, number] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const pad = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - (low === 0 ? 0 : pad), high + pad];
}

export interface CurveOptions {
  /** Called with the threshold that a pointer is dragged to; without it, a pointer reads the curve. */
  readonly onDrag?: (threshold: number) => void;
  /** Ends of the axis; those of the curve if left out. */
  readonly domain?: readonly [number, number];
}

/** A curve in a figure, drawn again when its width changes. */
export class CurveChart {
  #figure: HTMLElement;
  #options: CurveOptions = {};
  #points: readonly Point[] = [];
  #bands: readonly Band[] = [];
  #asked: number | undefined;
  #width = 0;
  #moveAsked: (threshold: number) => void = () => {};

  /** `figure` holds the chart below a `.reading`, where one reads what is pointed at. */
  constructor(figure: HTMLElement) {
    this.#figure = figure;
    const observer = new ResizeObserver(() => {
      if (!figure.isConnected) observer.disconnect();
      if (figure.clientWidth === this.#width || figure.clientWidth === 0) return;
      this.#draw();
    });
    observer.observe(figure);
  }

  /** `asked` is the threshold solved for. */
  show(
    points: readonly Point[],
    asked: number | undefined,
    bands: readonly Band[] = [],
    options: CurveOptions = {},
  ): void {
    this.#points = points;
    this.#bands = bands;
    this.#asked = asked;
    this.#options = options;
    if (this.#figure.clientWidth > 0) this.#draw();
  }

  /** Moves the mark of what is asked for, and nothing else: fit for every frame. */
  ask(threshold: number): void {
    this.#asked = threshold;
    this.#moveAsked(threshold);
  }

  #draw(): void {
    this.#width = this.#figure.clientWidth;
    this.#figure.querySelector('svg')?.remove();
    if (this.#points.length === 0) return;
    const reading = this.#figure.querySelector('.reading');
    const { svg, moveAsked } = curve(
      this.#width,
      this.#points,
      this.#bands,
      this.#asked,
      reading,
      this.#options,
    );
    this.#moveAsked = moveAsked;
    this.#figure.append(svg);
  }
}

function curve(
  width: number,
  points: readonly Point[],
  bands: readonly Band[],
  asked: number | undefined,
  reading: Element | null,
  { onDrag, domain }: CurveOptions,
): { svg: Element; moveAsked: (threshold: number) => void } {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', `0 0 ${width} ${TALL}`);
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', 'Mean reward, price and KL of the optimal policy for each safety threshold');
  const thresholds = points.map(({ threshold }) => threshold);
  const [first, last] = domain ?? [Math.min(...thresholds), Math.max(...thresholds)];
  // A threshold far off the curve would squeeze it.
  const room = domain ? 0 : ROOM * (last - first);
  const isNear = (threshold: number) => threshold >= first - room && threshold <= last + room;
  const near = asked !== undefined && isNear(asked);
  const low = near ? Math.min(first, asked) : first;
  const high = near ? Math.max(last, asked) : last;
  const x = (value: number) => LEFT + ((value - low) / (high - low || 1)) * (width - LEFT - RIGHT);
  const lines: Element[] = [];
  const heights = PANELS.map(({ key, name }, i) => {
    const top = i * (TITLE + PLOT + GAP) + TITLE;
    const [bottomValue, topValue] = bounds(points.map((point) => point[key]));
    const y = (value: number) => top + PLOT - ((value - bottomValue) / (topValue - bottomValue)) * PLOT;
    draw(svg, 'text', { x: 0, y: top - 10, class: 'name' }, name);
    for (const tick of ticks(bottomValue, topValue, 3)) {
      draw(svg, 'line', { x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick), class: 'grid' });
      draw(svg, 'text', { x: LEFT - 8, y: y(tick) + 4.5, 'text-anchor': 'end' }, label(tick));
    }
    if (bands.length > 1) {
      const clipped = (value: number) => Math.max(top, Math.min(top + PLOT, y(value)));
      const edge = (end: 0 | 1) => bands.map((band) => [x(band.threshold), clipped(band[key][end])]);
      const outline = [...edge(0), ...edge(1).reverse()].map((place) =>
        place.map((at) => at.toFixed(2)).join(','),
      );
      draw(svg, 'polygon', { points: outline.join(' '), class: 'band' });
    }
    if (asked !== undefined) lines.push(draw(svg, 'line', { y1: top, y2: top + PLOT, class: 'asked' }));
    const path = points
      .map((point) => `${x(point.threshold).toFixed(2)},${y(point[key]).toFixed(2)}`)
      .join(' ');
    draw(svg, 'polyline', { points: path, class: 'curve' });
    return { key, y, top };
  });
  const foot = TALL - AXIS;
  for (const tick of ticks(low, high, width < 500 ? 2 : 4)) {
    draw(svg, 'text', { x: x(tick), y: foot + 6, 'text-anchor': 'middle' }, label(tick));
  }
  draw(
    svg,
    'text',
    { x: width - RIGHT, y: foot + 28, 'text-anchor': 'end', class: 'name' },
    'Safety threshold →',
  );
  const name =
    asked === undefined ? undefined : draw(svg, 'text', { x: 0, y: foot + 28, class: 'asked-name' });
  const moveAsked = (threshold: number) => {
    const there = isNear(threshold);
    for (const line of lines) {
      line.setAttribute('visibility', there ? 'visible' : 'hidden');
      for (const end of ['x1', 'x2']) line.setAttribute(end, String(x(threshold)));
    }
    if (name)
      name.textContent = `${there ? '┆ ' : ''}asked: ${shown(threshold)}${there ? '' : ', off the curve'}`;
  };
  if (asked !== undefined) moveAsked(asked);
  if (onDrag) {
    const value = (place: number) => low + ((place - LEFT) / (width - LEFT - RIGHT)) * (high - low);
    drag(svg, (place) => onDrag(Math.max(first, Math.min(last, value(place)))));
  } else if (reading) {
    follow(svg, points, x, heights, reading);
  }
  return { svg, moveAsked };
}

/** Tells where a pointer is while it is held down. */
function drag(svg: SVGSVGElement, moved: (place: number) => void): void {
  svg.classList.add('draggable');
  const at = (event: PointerEvent) => moved(event.clientX - svg.getBoundingClientRect().left);
  svg.addEventListener('pointerdown', (event) => {
    svg.setPointerCapture(event.pointerId);
    at(event);
  });
  svg.addEventListener('pointermove', (event) => {
    if (svg.hasPointerCapture(event.pointerId)) at(event);
  });
}

type Heights = readonly { key: Key; y: (value: number) => number; top: number }[];

/** Reads the nearest point under a pointer out loud and marks it. */
function follow(
  svg: Element,
  points: readonly Point[],
  x: (value: number) => number,
  heights: Heights,
  reading: Element,
): void {
  const marks = heights.map(({ top }) => ({
    line: draw(svg, 'line', { y1: top, y2: top + PLOT, class: 'cursor', visibility: 'hidden' }),
    spot: draw(svg, 'circle', { r: 5, class: 'spot', visibility: 'hidden' }),
  }));
  const hint = reading.textContent;
  const at = (event: Event) => {
    const box = svg.getBoundingClientRect();
    const place = (event as PointerEvent).clientX - box.left;
    const distance = (point: Point) => Math.abs(x(point.threshold) - place);
    const point = points.reduce((best, other) => (distance(other) < distance(best) ? other : best));
    for (const [i, { line, spot }] of marks.entries()) {
      const { key, y } = heights[i];
      for (const name of ['x1', 'x2']) line.setAttribute(name, String(x(point.threshold)));
      spot.setAttribute('cx', String(x(point.threshold)));
      spot.setAttribute('cy', String(y(point[key])));
      for (const mark of [line, spot]) mark.setAttribute('visibility', 'visible');
    }
    reading.textContent =
      `Threshold ${shown(point.threshold)}: λ* ${shown(point.lambda)}, reward ${shown(point.reward)}, ` +
      `KL ${shown(point.kl)}, effective samples ${shown(point.ess)}`;
  };
  svg.addEventListener('pointermove', at);
  svg.addEventListener('pointerdown', at);
  svg.addEventListener('pointerleave', () => {
    for (const { line, spot } of marks)
      for (const mark of [line, spot]) mark.setAttribute('visibility', 'hidden');
    reading.textContent = hint;
  });
}

/** The trade-off as small multiples over one axis of thresholds. */

export interface Point {
  readonly threshold: number;
  readonly lambda: number;
  readonly reward: number;
  readonly kl: number;
  readonly ess: number;
}

const PANELS = [
  { key: 'reward', name: 'Mean reward' },
  { key: 'lambda', name: 'λ*, the price of safety' },
  { key: 'kl', name: 'KL from the reference' },
] as const;

const LEFT = 52;
const RIGHT = 14;
const PLOT = 118;
const TITLE = 26;
const GAP = 18;
const AXIS = 44;
const ROOM = 0.25;
const TALL = PANELS.length * (TITLE + PLOT + GAP) + AXIS;

/** Four digits; a real minus, which does not break from its number. */
export function shown(value: number): string {
  if (!Number.isFinite(value)) return '∞';
  const text = Math.abs(value) >= 1e5 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace('-', '−');
}

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

/** Draws the curve into `figure`, again when its width changes; `asked` is the threshold solved for. */
export function showCurve(figure: HTMLElement, points: readonly Point[], asked: number | undefined): void {
  const reading = figure.querySelector('.reading')!;
  let width = 0;
  const observer = new ResizeObserver(() => {
    if (!figure.isConnected) observer.disconnect();
    if (figure.clientWidth === width || figure.clientWidth === 0) return;
    width = figure.clientWidth;
    figure.querySelector('svg')?.remove();
    figure.append(curve(width, points, asked, reading));
  });
  observer.observe(figure);
}

function curve(
  width: number,
  points: readonly Point[],
  asked: number | undefined,
  reading: Element,
): Element {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', `0 0 ${width} ${TALL}`);
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', 'Mean reward, price and KL of the optimal policy for each safety threshold');
  const thresholds = points.map(({ threshold }) => threshold);
  const [first, last] = [Math.min(...thresholds), Math.max(...thresholds)];
  // A threshold far off the curve would squeeze it.
  const room = ROOM * (last - first);
  const near = asked !== undefined && asked > first - room && asked < last + room;
  const low = near ? Math.min(first, asked) : first;
  const high = near ? Math.max(last, asked) : last;
  const x = (value: number) => LEFT + ((value - low) / (high - low || 1)) * (width - LEFT - RIGHT);
  const heights = PANELS.map(({ key, name }, i) => {
    const top = i * (TITLE + PLOT + GAP) + TITLE;
    const [bottomValue, topValue] = bounds(points.map((point) => point[key]));
    const y = (value: number) => top + PLOT - ((value - bottomValue) / (topValue - bottomValue)) * PLOT;
    draw(svg, 'text', { x: 0, y: top - 10, class: 'name' }, name);
    for (const tick of ticks(bottomValue, topValue, 3)) {
      draw(svg, 'line', { x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick), class: 'grid' });
      draw(svg, 'text', { x: LEFT - 8, y: y(tick) + 4.5, 'text-anchor': 'end' }, label(tick));
    }
    if (near) draw(svg, 'line', { x1: x(asked), x2: x(asked), y1: top, y2: top + PLOT, class: 'asked' });
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
  if (asked !== undefined)
    draw(
      svg,
      'text',
      { x: 0, y: foot + 28, class: 'asked-name' },
      `${near ? '┆ ' : ''}asked: ${shown(asked)}${near ? '' : ', off the curve'}`,
    );
  follow(svg, points, x, heights, reading);
  return svg;
}

type Heights = readonly { key: (typeof PANELS)[number]['key']; y: (value: number) => number; top: number }[];

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

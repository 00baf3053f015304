import * as Plot from '@observablehq/plot';
import { tickLabels } from '../format.ts';
import type { Html } from '../html.ts';
import { html } from '../html.ts';
import { inlineSvg } from './svg.ts';

/** Width of every chart in CSS pixels: a phone's page, or a third of a desktop's, so that text keeps its size on both. */
export const WIDTH = 352;
const HEIGHT = 232;
export const MARGIN = { top: 26, right: 14, bottom: 38, left: 44 };

/** Colours live in the page's style sheet, which knows light from dark. */
export const COLOR = {
  reference: 'var(--reference)',
  predicted: 'var(--predicted)',
  aligned: 'var(--aligned)',
  ink: 'var(--ink)',
  muted: 'var(--muted)',
  rule: 'var(--rule)',
  paper: 'var(--paper)',
};

/** Larger values are not drawable: differences of them overflow. */
const LARGEST = 1e100;

export function drawable(value: number | undefined): value is number {
  return Number.isFinite(value) && Math.abs(value!) < LARGEST;
}

/**
 * [smallest, largest] of the drawable `values`, widened by the share `padding` on both sides; never empty, so that a
 * constant has an axis too.
 */
export function extent(values: readonly number[], padding = 0.06): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!drawable(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  // A spread lost in the rounding of the values themselves would make ticks that repeat.
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (high - low <= size * 1e-9) {
    const half = size === 0 ? 0.5 : size * 0.05;
    return [low - half, high + half];
  }
  const pad = (high - low) * padding;
  return [low - pad, high + pad];
}

export interface Axis {
  readonly domain: readonly [number, number];
  readonly label?: string;
  readonly ticks?: number;
  /** Formats one tick; by default all ticks get the decimals their spacing needs. */
  readonly format?: (value: number) => string;
}

export interface ChartOptions {
  readonly document: Document;
  /** What a listener should hear in place of the drawing. */
  readonly label: string;
  readonly height?: number;
  readonly top?: number;
  readonly left?: number;
  readonly right?: number;
  readonly x: Axis;
  readonly y: Axis;
  /** Ordinal charts draw their own y labels. */
  readonly yAxis?: boolean;
  readonly marks: readonly Plot.Markish[];
}

/** About `count` round values inside `domain`, at a step of 1, 2 or 5 times a power of ten. */
export function roundTicks([low, high]: readonly [number, number], count: number): number[] {
  const wanted = (high - low) / count;
  let power = 1;
  while (power * 10 <= wanted) power *= 10;
  while (power > wanted) power /= 10;
  const ratio = wanted / power;
  // The geometric means of neighbouring steps: whichever is nearer.
  const step = power * (ratio >= 7.07 ? 10 : ratio >= 3.16 ? 5 : ratio >= 1.41 ? 2 : 1);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

/** Ticks and their labels, chosen here because Plot's own depend on the host's Math.pow and Intl. */
function ticksOf(axis: Axis, count: number) {
  const ticks = roundTicks(axis.domain, axis.ticks ?? count);
  const labels = axis.format ? ticks.map(axis.format) : tickLabels(ticks);
  return { ticks, tickFormat: (_: number, index: number) => labels[index]! };
}

/** Position in pixels of a value on an axis of `length` pixels that starts at `start`. */
function position(
  value: number,
  [low, high]: readonly [number, number],
  start: number,
  length: number,
): number {
  return start + ((value - low) / (high - low)) * length;
}

/** Pixel coordinates of data in a chart of these axes, for labels that must keep clear of each other. */
export function pixelScale(
  x: Axis,
  y: Axis,
  height = HEIGHT,
  left = MARGIN.left,
  right = MARGIN.right,
): { x: (value: number) => number; y: (value: number) => number } {
  const width = WIDTH - left - right;
  const depth = height - MARGIN.top - MARGIN.bottom;
  return {
    x: (value) => position(value, x.domain, left, width),
    y: (value) => height - MARGIN.bottom - position(value, y.domain, 0, depth),
  };
}

function axisTitle(title: string | undefined, options: Plot.TextOptions): Plot.Markish {
  return title === undefined ? null : Plot.text([title], { ...options, fill: COLOR.muted });
}

/** Axes, grid and `marks` as inline SVG. Axis titles stand at the ends, so that no text is turned. */
export function chart(options: ChartOptions): Html {
  const { document, label, x, y, yAxis = true, height = HEIGHT, left = MARGIN.left } = options;
  const across = ticksOf(x, 5);
  const up = yAxis ? ticksOf(y, 4) : undefined;
  const plain = { tickSize: 0, tickPadding: 8, label: null, fill: COLOR.muted };
  const svg = Plot.plot({
    document,
    className: 'plot',
    width: WIDTH,
    height,
    marginTop: options.top ?? MARGIN.top,
    marginRight: options.right ?? MARGIN.right,
    marginBottom: MARGIN.bottom,
    marginLeft: left,
    x: { type: 'linear', domain: [...x.domain], axis: null },
    y: { type: 'linear', domain: [...y.domain], axis: null },
    marks: [
      up
        ? [
            Plot.gridY({ ticks: up.ticks, stroke: COLOR.rule, strokeOpacity: 1 }),
            Plot.axisY({ ...up, ...plain }),
            Plot.ruleY([y.domain[0]], { stroke: COLOR.muted, strokeOpacity: 0.6 }),
          ]
        : Plot.gridX({ ticks: across.ticks, stroke: COLOR.rule, strokeOpacity: 1 }),
      Plot.axisX({ ...across, ...plain }),
      axisTitle(x.label, { frameAnchor: 'bottom-right', lineAnchor: 'top', dy: 22 }),
      axisTitle(y.label, { frameAnchor: 'top-left', lineAnchor: 'bottom', dx: 2 - left, dy: -12 }),
      ...options.marks,
    ],
  });
  return inlineSvg(svg, label);
}

/** A chart under its title and one sentence that says what to see in it. */
export function figure(title: string | Html, sentence: string | Html, drawing: Html): Html {
  return html`<figure><figcaption><strong>${title}</strong> <span>${sentence}</span></figcaption>${drawing}</figure>\n`;
}

import * as Plot from '@observablehq/plot';
import type { Html } from '../html.ts';
import { type Axis, COLOR, chart, drawable, extent, MARGIN, pixelScale, WIDTH } from './chart.ts';
import { placeLabels } from './labels.ts';

export interface Spot {
  readonly x: number;
  readonly y: number;
  /** 95 % interval of y. */
  readonly interval?: readonly [number, number];
}

export interface Series {
  readonly name: string;
  readonly color: string;
  readonly points: readonly Spot[];
  /** Joined by a line. */
  readonly line?: boolean;
  /** Marked; the last alone, or none where a line says enough. */
  readonly dots?: 'all' | 'last' | 'none';
  readonly symbol?: 'circle' | 'diamond';
  /** Written beside the last point. */
  readonly label?: string;
}

/** Series of points on shared axes, each named beside its last point; `diagonal` draws y = x. */
export function lineChart(
  document: Document,
  label: string,
  series: readonly Series[],
  options: {
    readonly x: Omit<Axis, 'domain'>;
    readonly y: Omit<Axis, 'domain'>;
    readonly diagonal?: boolean;
    readonly height?: number;
    /** Room right of the frame, for names. */
    readonly right?: number;
  },
): Html {
  const drawn = series.map((each) => ({
    ...each,
    points: each.points.filter(({ x, y }) => drawable(x) && drawable(y)),
  }));
  const all = drawn.flatMap(({ points }) => points);
  const values = all.flatMap(({ y, interval }) => [y, ...(interval ?? [])]);
  const xs = all.map(({ x }) => x);
  const x: Axis = { ...options.x, domain: extent(xs, 0.08) };
  const y: Axis = { ...options.y, domain: extent(options.diagonal ? [...values, ...xs] : values, 0.1) };
  const named = drawn.filter(({ label: text, points }) => text !== undefined && points.length > 0);
  const scale = pixelScale(x, y, options.height, MARGIN.left, options.right);
  const pixel = ({ x: at, y: value }: Spot) => ({ x: scale.x(at), y: scale.y(value) });
  const anchors = named.map(({ points, label: text }) => ({ ...pixel(points.at(-1)!), text: text! }));
  const frame = { left: MARGIN.left, right: WIDTH - 2, top: 8, bottom: scale.y(y.domain[0]) };
  const placements = placeLabels(anchors, all.map(pixel), frame);
  const ends = [Math.max(x.domain[0], y.domain[0]), Math.min(x.domain[1], y.domain[1])];
  return chart({
    document,
    label,
    x,
    y,
    ...(options.height === undefined ? {} : { height: options.height }),
    ...(options.right === undefined ? {} : { right: options.right }),
    marks: [
      options.diagonal
        ? Plot.line(ends, { x: (end) => end, y: (end) => end, stroke: COLOR.ink, strokeDasharray: '4 3' })
        : null,
      drawn.map(({ points, color, line, dots = 'all', symbol = 'circle' }) => {
        const marked = dots === 'none' ? [] : dots === 'last' ? points.slice(-1) : points;
        const bars = marked.filter(({ interval }) => interval !== undefined);
        return [
          line ? Plot.line(points, { x: 'x', y: 'y', stroke: color, strokeWidth: 1.75 }) : null,
          Plot.link(bars, {
            x1: 'x',
            x2: 'x',
            y1: ({ interval }: Spot) => interval![0],
            y2: ({ interval }: Spot) => interval![1],
            stroke: color,
            strokeWidth: 4,
            strokeOpacity: 0.35,
            strokeLinecap: 'round',
          }),
          Plot.dot(marked, {
            x: 'x',
            y: 'y',
            r: 4.5,
            symbol,
            fill: color,
            stroke: COLOR.paper,
            strokeWidth: 1.25,
          }),
        ];
      }),
      named.map(({ points, color, label: text }, index) =>
        Plot.text(points.slice(-1), {
          x: 'x',
          y: 'y',
          ...placements[index]!,
          text: [text!],
          fill: color,
          fontWeight: '600',
          stroke: COLOR.paper,
          strokeWidth: 4,
        }),
      ),
    ],
  });
}

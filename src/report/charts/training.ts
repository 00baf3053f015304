import * as Plot from '@observablehq/plot';
import type { Metrics } from '../data.ts';
import { count, significant } from '../format.ts';
import type { Html } from '../html.ts';
import { COLOR, chart, drawable, extent } from './chart.ts';

export interface Point {
  readonly step: number;
  readonly value: number;
}

/** More points than this cannot be told apart on a chart of this width. */
const MOST_POINTS = 240;
/** From this many points on a moving average says more than the single steps. */
const SMOOTHED_FROM = 40;
const HEIGHT = 172;
/** Names of lines closer than this, in pixels, would run into each other. */
const LINE_HEIGHT = 15;

/** The values of `key` over the steps that have one; the line's own number stands in for a missing step. */
export function series(metrics: readonly Metrics[], key: string): Point[] {
  return metrics.flatMap((line, index) => {
    const value = line[key];
    return drawable(value) ? [{ step: line.step ?? index + 1, value }] : [];
  });
}

/** Means over consecutive groups, so that at most MOST_POINTS remain. */
export function thinned(points: readonly Point[]): Point[] {
  const size = Math.ceil(points.length / MOST_POINTS);
  if (size <= 1) return [...points];
  const groups: Point[] = [];
  for (let start = 0; start < points.length; start += size) {
    const group = points.slice(start, start + size);
    groups.push({
      step: group.reduce((sum, { step }) => sum + step, 0) / group.length,
      value: group.reduce((sum, { value }) => sum + value, 0) / group.length,
    });
  }
  return groups;
}

/** Centred moving average over about a twelfth of the run. */
function smoothed(points: readonly Point[]): Point[] {
  const reach = Math.max(2, Math.floor(points.length / 24));
  return points.map(({ step }, index) => {
    const near = points.slice(Math.max(0, index - reach), index + reach + 1);
    return { step, value: near.reduce((sum, { value }) => sum + value, 0) / near.length };
  });
}

export interface TrainingLine {
  readonly points: readonly Point[];
  readonly name?: string;
  readonly color: string;
}

/** By how many pixels to move the names at the ends of two lines so that they stay apart. */
function endShifts(ends: readonly number[], pixel: (value: number) => number): number[] {
  if (ends.length !== 2) return ends.map(() => 0);
  const distance = pixel(ends[1]!) - pixel(ends[0]!);
  const missing = Math.max(0, LINE_HEIGHT - Math.abs(distance)) / 2;
  return distance < 0 ? [missing, -missing] : [-missing, missing];
}

/** One metric, or two that share a unit, over the steps; `guide` marks a level of meaning, such as chance. */
export function trainingChart(
  document: Document,
  title: string,
  lines: readonly TrainingLine[],
  options: { readonly guide?: readonly [number, string]; readonly smooth?: boolean } = {},
): Html {
  const { guide } = options;
  const drawn = lines.map((line) => ({ ...line, points: thinned(line.points) }));
  const values = drawn.flatMap(({ points }) => points.map(({ value }) => value));
  const steps = drawn.flatMap(({ points }) => points.map(({ step }) => step));
  if (guide) values.push(guide[0]);
  const domain = extent(values, 0.1);
  const spoken = lines.map(({ points, name }) => {
    const prefix = name ? `${name} ` : '';
    return `${prefix}from ${significant(points[0]!.value)} to ${significant(points.at(-1)!.value)}`;
  });
  const named = drawn.some(({ name }) => name);
  const x = { domain: extent(steps, 0), label: 'step', ticks: 4 };
  const y = { domain, ticks: 3 };
  const shifts = endShifts(
    drawn.map(({ points }) => points.at(-1)!.value),
    (value) => ((domain[1] - value) / (domain[1] - domain[0])) * HEIGHT,
  );
  return chart({
    document,
    label: `${title} over ${count(lines[0]!.points.length)} steps: ${spoken.join(', ')}`,
    height: HEIGHT,
    top: 12,
    right: named ? 66 : 14,
    x,
    y,
    marks: [
      guide === undefined
        ? null
        : [
            Plot.ruleY([guide[0]], { stroke: COLOR.muted, strokeDasharray: '1 3' }),
            Plot.text([guide[1]], {
              y: guide[0],
              frameAnchor: 'right',
              textAnchor: 'end',
              dx: -2,
              // Into whichever half of the frame has the room.
              dy: guide[0] > (domain[0] + domain[1]) / 2 ? -8 : 9,
              fill: COLOR.muted,
              stroke: COLOR.paper,
              strokeWidth: 4,
            }),
          ],
      drawn.map(({ points, name, color }, index) => {
        const smooth = options.smooth !== false && points.length >= SMOOTHED_FROM;
        const main = smooth ? smoothed(points) : points;
        return [
          !smooth
            ? null
            : Plot.line(points, {
                x: 'step',
                y: 'value',
                stroke: color,
                strokeOpacity: 0.35,
                strokeWidth: 1,
              }),
          Plot.line(main, { x: 'step', y: 'value', stroke: color, strokeWidth: 2 }),
          name === undefined
            ? null
            : Plot.text(main.slice(-1), {
                x: 'step',
                y: 'value',
                dx: 7,
                dy: shifts[index]!,
                textAnchor: 'start',
                text: [name],
                fill: color,
                fontWeight: '600',
              }),
        ];
      }),
    ],
  });
}

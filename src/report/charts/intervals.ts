import * as Plot from '@observablehq/plot';
import { interval, score } from '../format.ts';
import type { Html } from '../html.ts';
import { COLOR, chart, drawable, extent, WIDTH } from './chart.ts';

export interface IntervalRow {
  /** `reference`, `predicted` and `aligned` have colours of their own. */
  readonly name: string;
  readonly mean: number;
  /** A prediction has none. */
  readonly interval?: readonly [number, number];
}

function colorOf({ name }: IntervalRow): string {
  return name === 'reference' || name === 'predicted' || name === 'aligned' ? COLOR[name] : COLOR.ink;
}

const LEFT = 78;
const ROW = 46;

/** One row a policy: a dot at its mean, a bar over its interval; `threshold` as a dashed line across all rows. */
export function intervalChart(
  document: Document,
  quantity: string,
  rows: readonly IntervalRow[],
  options: {
    readonly threshold?: number;
    readonly format?: (value: number) => string;
    /** Formats the ticks of the axis. */
    readonly tick?: (value: number) => string;
  } = {},
): Html {
  const { format = score } = options;
  const threshold = drawable(options.threshold) ? options.threshold : undefined;
  const values = rows.flatMap((row) => [row.mean, ...(row.interval ?? [])]);
  if (threshold !== undefined) values.push(threshold);
  const domain = extent(values, 0.12);
  // Room for the name of the bound.
  const top = threshold === undefined ? 8 : 26;
  const drawn = rows
    .map((row, index) => ({ ...row, index }))
    .filter((row) => drawable(row.mean) && (row.interval ?? []).every(drawable));
  const middle = (domain[0] + domain[1]) / 2;
  const bars = drawn.filter((row) => row.interval !== undefined);
  const spoken = rows.map(
    (row) => `${row.name} ${format(row.mean)}${row.interval ? ` (${interval(row.interval, format)})` : ''}`,
  );
  return chart({
    document,
    label: `${quantity}: ${spoken.join(', ')}${threshold === undefined ? '' : `; bound ${format(threshold)}`}`,
    height: top + ROW * rows.length + 38,
    top,
    left: LEFT,
    x: { domain, ticks: 4, format: options.tick },
    y: { domain: [rows.length - 0.5, -0.5] },
    yAxis: false,
    marks: [
      threshold === undefined
        ? null
        : [
            Plot.ruleX([threshold], { stroke: COLOR.ink, strokeDasharray: '4 3', strokeWidth: 1.25 }),
            Plot.text([threshold], {
              x: threshold,
              frameAnchor: 'top',
              lineAnchor: 'bottom',
              dy: -8,
              dx: threshold > middle ? 4 : -4,
              textAnchor: threshold > middle ? 'end' : 'start',
              text: [`bound ${format(threshold)}`],
              fill: COLOR.ink,
            }),
          ],
      Plot.text(drawn, {
        x: domain[0],
        y: 'index',
        dx: 4 - LEFT,
        textAnchor: 'start',
        text: 'name',
        fill: colorOf,
        fontWeight: '600',
      }),
      Plot.link(bars, {
        x1: (row: IntervalRow) => row.interval![0],
        x2: (row: IntervalRow) => row.interval![1],
        y1: 'index',
        y2: 'index',
        stroke: colorOf,
        strokeWidth: 5,
        strokeOpacity: 0.35,
        strokeLinecap: 'round',
      }),
      Plot.dot(drawn, {
        x: 'mean',
        y: 'index',
        r: 5.5,
        symbol: (row: IntervalRow) => (row.name === 'predicted' ? 'diamond' : 'circle'),
        fill: colorOf,
        stroke: COLOR.paper,
        strokeWidth: 1.5,
      }),
      drawn.map((row) => {
        // The line of the bound would run through a number that stands across it.
        const inner = LEFT + ((row.mean - domain[0]) / (domain[1] - domain[0])) * (WIDTH - LEFT - 14);
        const near =
          threshold !== undefined && Math.abs(row.mean - threshold) < (domain[1] - domain[0]) * 0.12;
        const side = near ? (row.mean < threshold! ? -1 : 1) : 0;
        const fits = inner + side * 44 > LEFT && inner + side * 44 < WIDTH;
        return Plot.text([row], {
          x: 'mean',
          y: 'index',
          dy: -14,
          dx: side * 5,
          textAnchor: side === 0 || !fits ? 'middle' : side < 0 ? 'end' : 'start',
          text: [format(row.mean)],
          fill: colorOf(row),
          stroke: COLOR.paper,
          strokeWidth: 4,
        });
      }),
    ],
  });
}

import * as Plot from '@observablehq/plot';
import { count, significant } from '../format.ts';
import type { Html } from '../html.ts';
import { COLOR, chart, extent } from './chart.ts';

export interface SizeRow {
  readonly size: number;
  readonly mean: number;
  readonly deviation: number;
}

/** λ* over samples of growing size, each the mean of some with its standard deviation; `lambda` is that of all. */
export function sizeChart(document: Document, axis: string, rows: readonly SizeRow[], lambda: number): Html {
  const points = rows.map((row, index) => ({ ...row, index }));
  const y = {
    domain: extent(
      [lambda, ...rows.flatMap(({ mean, deviation }) => [mean - deviation, mean + deviation])],
      0.12,
    ),
    label: 'λ*',
  };
  const spoken = rows.map(
    ({ size, mean, deviation }) => `${size}: ${significant(mean)} ± ${significant(deviation)}`,
  );
  return chart({
    document,
    label: `λ* against the number of ${axis}; ${spoken.join(', ')}; all: ${significant(lambda)}`,
    x: {
      domain: [-0.5, rows.length - 0.5],
      label: axis,
      ticks: rows.length,
      format: (index) => (Number.isInteger(index) && rows[index] ? count(rows[index].size) : ''),
    },
    y,
    marks: [
      Plot.ruleY([lambda], { stroke: COLOR.predicted, strokeDasharray: '4 3' }),
      Plot.link(points, {
        x1: 'index',
        x2: 'index',
        y1: ({ mean, deviation }) => mean - deviation,
        y2: ({ mean, deviation }) => mean + deviation,
        stroke: COLOR.predicted,
        strokeWidth: 5,
        strokeOpacity: 0.35,
        strokeLinecap: 'round',
      }),
      Plot.dot(points, {
        x: 'index',
        y: 'mean',
        r: 5.5,
        symbol: 'diamond',
        fill: COLOR.predicted,
        stroke: COLOR.paper,
        strokeWidth: 1.5,
        title: ({ size, mean, deviation }) =>
          `${count(size)} ${axis}: λ* ${significant(mean)} ± ${significant(deviation)}`,
      }),
    ],
  });
}

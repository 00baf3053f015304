import * as Plot from '@observablehq/plot';
import type { CurvePoint } from '../data.ts';
import { score, significant } from '../format.ts';
import type { Html } from '../html.ts';
import { COLOR, chart, drawable, extent, MARGIN, pixelScale, WIDTH } from './chart.ts';
import { placeLabels } from './labels.ts';

/** A dual curve is of interest around its minimum; far beyond it only shows how fast it grows. */
const BEYOND_OPTIMUM = 2.5;

/** D(λ) with its minimum λ* and, as a band, the interval of λ*. */
export function dualCurve(
  document: Document,
  curve: readonly CurvePoint[],
  optimum: { readonly lambda: number; readonly dual: number; readonly interval?: readonly [number, number] },
): Html {
  const bounds = optimum.interval;
  const limit = Math.max(BEYOND_OPTIMUM * optimum.lambda, 1.15 * (drawable(bounds?.[1]) ? bounds[1] : 0));
  const near = curve.filter(({ lambda }) => lambda <= limit);
  const points = near.length >= 8 ? near : curve;
  const x = {
    domain: [0, extent([...points.map(({ lambda }) => lambda), optimum.lambda], 0)[1]] as const,
    label: 'λ',
  };
  const y = { domain: extent([...points.map(({ dual }) => dual), optimum.dual], 0.12), label: 'D(λ)' };
  const left = optimum.lambda < x.domain[1] / 8;
  const end = (value: number) => Math.min(Math.max(value, x.domain[0]), x.domain[1]);
  return chart({
    document,
    label: `Dual function D against λ; its minimum is at λ* = ${significant(optimum.lambda)}, where D = ${score(optimum.dual)}`,
    x,
    y,
    marks: [
      bounds === undefined
        ? null
        : Plot.rect([0], {
            x1: end(bounds[0]),
            x2: end(bounds[1]),
            y1: y.domain[0],
            y2: y.domain[1],
            fill: COLOR.predicted,
            fillOpacity: 0.14,
          }),
      Plot.line(points, { x: 'lambda', y: 'dual', stroke: COLOR.ink, strokeWidth: 2 }),
      !drawable(optimum.lambda) || !drawable(optimum.dual)
        ? null
        : [
            Plot.ruleX([optimum.lambda], {
              y1: y.domain[0],
              y2: optimum.dual,
              stroke: COLOR.predicted,
              strokeDasharray: '2 3',
            }),
            Plot.dot([0], {
              x: optimum.lambda,
              y: optimum.dual,
              r: 6,
              symbol: 'diamond',
              fill: COLOR.predicted,
              stroke: COLOR.paper,
              strokeWidth: 1.5,
            }),
            Plot.text([0], {
              x: optimum.lambda,
              y: optimum.dual,
              dx: left ? 6 : 0,
              dy: -17,
              textAnchor: left ? 'start' : 'middle',
              text: [`λ* = ${significant(optimum.lambda)}`],
              fill: COLOR.predicted,
              fontWeight: '600',
            }),
          ],
    ],
  });
}

export interface Mark {
  readonly name: 'reference' | 'predicted' | 'aligned';
  readonly safety: number;
  readonly value: number;
}

/** A quantity of the optimal policies against the threshold they just reach, with where the policies of this run lie. */
export function tradeoffCurve(
  document: Document,
  options: {
    readonly curve: readonly CurvePoint[];
    readonly quantity: 'reward' | 'kl' | 'lambda' | 'essMedian';
    readonly axis: string;
    /** The threshold asked for; left out where it lies far off the curve. */
    readonly threshold?: number;
    readonly marks: readonly Mark[];
    /** A level that the curve cannot pass, and its name. */
    readonly ceiling?: readonly [number, string];
    /** The end of the axis, for a curve that runs off to infinity. */
    readonly most?: number;
    /** What a pointer resting on a point of the curve reads. */
    readonly reading?: (point: CurvePoint) => string;
  },
): Html {
  const { quantity, threshold, most = Number.POSITIVE_INFINITY } = options;
  const curve = options.curve.filter((point) => point[quantity] <= most);
  const marks = options.marks.filter((mark) => drawable(mark.safety) && drawable(mark.value));
  const values = [...curve.map((point) => point[quantity]), ...marks.map((mark) => mark.value)];
  const largest = Math.max(...values.filter(drawable));
  const ceiling = options.ceiling && largest > 0.5 * options.ceiling[0] ? options.ceiling : undefined;
  if (ceiling) values.push(ceiling[0]);
  const safeties = [...curve.map((point) => point.safety), ...marks.map((mark) => mark.safety)];
  if (threshold !== undefined) safeties.push(threshold);
  const x = { domain: extent(safeties), label: 'threshold on safety', ticks: 4 };
  const y = { domain: extent(values, 0.1), label: options.axis };
  const scale = pixelScale(x, y);
  const bottom = scale.y(y.domain[0]);
  const anchors = marks.map((mark) => ({ x: scale.x(mark.safety), y: scale.y(mark.value), text: mark.name }));
  const line = curve.map((point) => ({ x: scale.x(point.safety), y: scale.y(point[quantity]) }));
  const frame = { left: MARGIN.left, right: WIDTH - 2, top: MARGIN.top - 8, bottom };
  const placements = placeLabels(anchors, line, frame);
  return chart({
    document,
    label: `${options.axis} against the threshold on safety; ${marks
      .map((mark) => `${mark.name} at safety ${score(mark.safety)}, ${score(mark.value)}`)
      .join('; ')}`,
    x,
    y,
    marks: [
      threshold === undefined
        ? null
        : Plot.ruleX([threshold], { stroke: COLOR.ink, strokeDasharray: '4 3', strokeWidth: 1.25 }),
      ceiling === undefined
        ? null
        : [
            Plot.ruleY([ceiling[0]], { stroke: COLOR.muted, strokeDasharray: '1 3' }),
            Plot.text([ceiling[1]], {
              y: ceiling[0],
              frameAnchor: 'left',
              textAnchor: 'start',
              dx: 4,
              dy: -8,
              fill: COLOR.muted,
              stroke: COLOR.paper,
              strokeWidth: 4,
            }),
          ],
      Plot.line(curve, { x: 'safety', y: quantity, stroke: COLOR.ink, strokeWidth: 2 }),
      Plot.dot(marks, {
        x: 'safety',
        y: 'value',
        r: 5.5,
        symbol: (mark: Mark) => (mark.name === 'predicted' ? 'diamond' : 'circle'),
        fill: (mark: Mark) => COLOR[mark.name],
        stroke: COLOR.paper,
        strokeWidth: 1.5,
      }),
      marks.map((mark, index) =>
        Plot.text([mark], {
          x: 'safety',
          y: 'value',
          ...placements[index]!,
          text: 'name',
          fill: COLOR[mark.name],
          fontWeight: '600',
          stroke: COLOR.paper,
          strokeWidth: 4,
        }),
      ),
      options.reading === undefined
        ? null
        : Plot.dot(curve, {
            x: 'safety',
            y: quantity,
            r: 9,
            fill: COLOR.ink,
            fillOpacity: 0,
            title: options.reading,
          }),
    ],
  });
}

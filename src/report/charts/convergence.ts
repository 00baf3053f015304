import * as Plot from '@observablehq/plot';
import type { TracePoint } from '../../dual/convergence.ts';
import { count, significant } from '../format.ts';
import type { Html } from '../html.ts';
import type { Method } from '../methods.ts';
import { type Axis, COLOR, chart, drawable, extent, MARGIN, pixelScale, WIDTH } from './chart.ts';
import { placeLabels } from './labels.ts';

/** What is drawn of each pass: the logarithm of a length, or λ as it is. */
export interface Progress {
  readonly axis: string;
  readonly value: (point: TracePoint) => number;
  /** Lengths below it are rounding. Left out where no logarithm is drawn. */
  readonly floor?: number;
  /** What the methods tend to. */
  readonly goal?: number;
}

/** The first method stands out. */
const COLORS = [COLOR.aligned, COLOR.reference, COLOR.predicted, COLOR.ink];
/** Passes closer than this on the axis cannot be told apart. */
const APART = 0.01;

interface Drawn {
  readonly pass: number;
  readonly x: number;
  readonly y: number;
}

/** The passes that a chart can tell apart, with the one after each, so that a trace that swings is seen to. */
function drawnPoints({ trace }: Method, { value, floor }: Progress): Drawn[] {
  const drawn: Drawn[] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (const [i, point] of trace.points.entries()) {
    const x = Math.log10(i + 1);
    const end = i === trace.points.length - 1;
    const follows = drawn.at(-1)?.pass === i;
    if (!end && x - last < APART && !(follows && drawn.at(-2)?.pass !== i - 1)) continue;
    last = x;
    const found = value(point);
    const y = floor === undefined ? found : Math.log10(Math.max(found, floor));
    if (drawable(y)) drawn.push({ pass: i + 1, x, y });
    if (floor !== undefined && found <= floor) break;
  }
  return drawn;
}

/** A quantity of each method against its passes, which stand as far apart as their logarithms. */
export function convergenceChart(document: Document, methods: readonly Method[], progress: Progress): Html {
  const { axis, floor, goal } = progress;
  const lines = methods.map((method, i) => ({
    name: method.name,
    color: COLORS[Math.min(i, COLORS.length - 1)]!,
    arrives: method.trace.converged,
    points: drawnPoints(method, progress),
  }));
  const all = lines.flatMap(({ points }) => points);
  const x: Axis = {
    domain: [0, 1.03 * Math.max(0.5, ...all.map((point) => point.x))],
    label: 'passes over the scores',
    ticks: 3,
    format: (power) => (Number.isInteger(power) ? count(10 ** power) : ''),
  };
  const y: Axis = {
    domain: extent(
      goal === undefined ? all.map((point) => point.y) : [goal, ...all.map((point) => point.y)],
      0.1,
    ),
    label: axis,
  };
  const scale = pixelScale(x, y);
  const pixels = lines.map(({ points }) =>
    points.map((point) => ({ x: scale.x(point.x), y: scale.y(point.y) })),
  );
  const named = lines.filter(({ points }) => points.length > 0);
  const anchors = named.map(({ name, points }) => ({
    x: scale.x(points.at(-1)!.x),
    y: scale.y(points.at(-1)!.y),
    text: name,
  }));
  const frame = {
    left: MARGIN.left,
    right: WIDTH - 2,
    top: MARGIN.top - 8,
    bottom: scale.y(y.domain[0]),
  };
  const placements = placeLabels(anchors, pixels.flat(), frame);
  const spoken = named.map(({ name, points }) => {
    const { pass, y } = points.at(-1)!;
    return `${name}: ${significant(floor === undefined ? y : 10 ** y)} after ${count(pass)} passes`;
  });
  return chart({
    document,
    label: `${axis} against passes over the scores; ${spoken.join('; ')}`,
    x,
    y,
    marks: [
      goal === undefined ? null : Plot.ruleY([goal], { stroke: COLOR.ink, strokeDasharray: '4 3' }),
      // What swings to the end lies beneath the rest.
      [...named].reverse().map(({ color, arrives, points }) => [
        Plot.line(points, {
          x: 'x',
          y: 'y',
          stroke: color,
          strokeWidth: arrives ? 2 : 0.75,
          strokeOpacity: arrives ? 1 : 0.6,
        }),
        Plot.dot(points.length <= 40 ? points : points.slice(-1), {
          x: 'x',
          y: 'y',
          r: 2.5,
          fill: color,
        }),
      ]),
      named.map(({ name, color, points }, i) =>
        Plot.text(points.slice(-1), {
          x: 'x',
          y: 'y',
          ...placements[i]!,
          text: [name],
          fill: color,
          fontWeight: '600',
          stroke: COLOR.paper,
          strokeWidth: 4,
        }),
      ),
    ],
  });
}

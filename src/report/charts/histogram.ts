import * as Plot from '@observablehq/plot';
import { percent, score } from '../format.ts';
import type { Html } from '../html.ts';
import { COLOR, chart, drawable, extent, MARGIN, pixelScale, WIDTH } from './chart.ts';
import type { Placement } from './labels.ts';
import { fitsInside, placeLabels } from './labels.ts';

const BINS = 32;
const LONGEST_NAME = 40;
/** Scores beyond this share at either end may be outliers that would press all others into one bar. */
const TAIL = 0.005;

interface Bin {
  readonly low: number;
  readonly high: number;
  readonly share: number;
}

export interface Histogram {
  readonly reference: readonly Bin[];
  readonly aligned: readonly Bin[];
  readonly domain: readonly [number, number];
  /** How many scores lie beyond the axis, at most one in a hundred; they are counted in the outermost bars. */
  readonly outside: number;
}

function binned(
  values: readonly number[],
  [low, high]: readonly [number, number],
  shares?: readonly number[],
): Bin[] {
  const counts = new Array<number>(BINS).fill(0);
  let total = 0;
  for (const [i, value] of values.entries()) {
    if (!drawable(value)) continue;
    const index = Math.floor(((value - low) / (high - low)) * BINS);
    const hits = shares ? shares[i]! : 1;
    counts[Math.min(Math.max(index, 0), BINS - 1)]! += hits;
    total += hits;
  }
  const edge = (index: number) => low + ((high - low) * index) / BINS;
  return counts.map((hits, index) => ({
    low: edge(index),
    high: edge(index + 1),
    share: total > 0 ? hits / total : 0,
  }));
}

/** Both distributions on the same bins. `shares` says how much each score counts: alike if left out. */
export function histogram(
  reference: readonly number[],
  aligned: readonly number[],
  shares: { readonly reference?: readonly number[]; readonly aligned?: readonly number[] } = {},
): Histogram {
  const before = reference.filter(drawable);
  const after = aligned.filter(drawable);
  const sorted = [...before, ...after].sort((a, b) => a - b);
  const full = extent(sorted, 0.02);
  const rank = Math.floor(sorted.length * TAIL);
  const core = extent([sorted[rank] ?? 0, sorted[sorted.length - 1 - rank] ?? 0], 0.1);
  const domain = full[1] - full[0] > 2.5 * (core[1] - core[0]) ? core : full;
  return {
    reference: binned(reference, domain, shares.reference),
    aligned: binned(aligned, domain, shares.aligned),
    domain,
    outside: sorted.filter((value) => value < domain[0] || value > domain[1]).length,
  };
}

/** Outline of the bars, closed on the axis at both ends. */
function outline(bins: readonly Bin[]): { x: number; y: number }[] {
  const points = [{ x: bins[0]!.low, y: 0 }];
  for (const { low, high, share } of bins) points.push({ x: low, y: share }, { x: high, y: share });
  points.push({ x: bins.at(-1)!.high, y: 0 });
  return points;
}

/** A name that fits below the axis. */
function shortened(name: string): string {
  const characters = Array.from(name);
  return characters.length > LONGEST_NAME ? `${characters.slice(0, LONGEST_NAME - 1).join('')}…` : name;
}

/**
 * Reference as a filled shape, the policy `after` alignment, or as predicted, as an outline over it, their means as rules,
 * the bound dashed.
 */
export function histogramChart(
  document: Document,
  quantity: string,
  bins: Histogram,
  means: { readonly reference: number; readonly aligned: number },
  bound?: number,
  after: 'aligned' | 'predicted' = 'aligned',
): Html {
  const width = bins.domain[1] - bins.domain[0];
  // A bound far from all scores would press them into one bar; the caption and the tables still name it.
  const threshold =
    drawable(bound) && bound > bins.domain[0] - width && bound < bins.domain[1] + width ? bound : undefined;
  const low = Math.min(bins.domain[0], threshold ?? bins.domain[0]);
  const high = Math.max(bins.domain[1], threshold ?? bins.domain[1]);
  const largest = Math.max(
    ...bins.reference.map(({ share }) => share),
    ...bins.aligned.map(({ share }) => share),
  );
  const x = { domain: [low, high] as const, label: shortened(quantity) };
  const y = {
    // Head-room for the names of the two means.
    domain: [0, largest > 0 ? largest * 1.3 : 1] as const,
    label: 'share of responses',
    format: percent,
    ticks: 3,
  };
  const scale = pixelScale(x, y);
  const color = (name: 'reference' | 'aligned') => COLOR[name === 'aligned' ? after : name];
  const rows = (['reference', 'aligned'] as const)
    .map((name) => ({ name, mean: means[name], height: y.domain[1] * 0.96 }))
    .filter(({ mean }) => mean >= low && mean <= high);
  const frame = { left: MARGIN.left, right: WIDTH - 2, top: 0, bottom: 200 };
  const anchors = rows.map(({ name, mean, height }) => ({
    x: scale.x(mean),
    y: scale.y(height),
    text: `${name === 'aligned' ? after : name} ${score(mean)}`,
  }));
  // Outward, so that the names of neighbouring means do not meet; where that leaves the frame, wherever there is room.
  const leftmost = anchors.length === 2 && anchors[1]!.x < anchors[0]!.x ? 1 : 0;
  const outward = anchors.map((_, index): Placement => {
    return anchors.length === 2 && index === leftmost
      ? { dx: -7, dy: 0, textAnchor: 'end' }
      : { dx: 7, dy: 0, textAnchor: 'start' };
  });
  const fits = anchors.every((anchor, index) => fitsInside(anchor, outward[index]!, frame));
  const placements = fits ? outward : placeLabels(anchors, [], frame);
  return chart({
    document,
    label: `Distribution of ${quantity} over responses; mean of the reference ${score(means.reference)}, of the ${after} policy ${score(means.aligned)}${threshold === undefined ? '' : `; bound ${score(threshold)}`}`,
    x,
    y,
    marks: [
      (['reference', 'aligned'] as const).map((name) =>
        Plot.line(outline(bins[name]), {
          x: 'x',
          y: 'y',
          stroke: color(name),
          strokeWidth: name === 'reference' ? 1 : 1.75,
          fill: color(name),
          fillOpacity: name === 'reference' ? 0.28 : 0.1,
        }),
      ),
      threshold === undefined
        ? null
        : Plot.ruleX([threshold], { stroke: COLOR.ink, strokeDasharray: '4 3', strokeWidth: 1.25 }),
      rows.map((row, index) => [
        Plot.ruleX([row.mean], { y1: 0, y2: row.height, stroke: color(row.name), strokeWidth: 1.75 }),
        Plot.text([row], {
          x: 'mean',
          y: 'height',
          ...placements[index]!,
          text: [anchors[index]!.text],
          fill: color(row.name),
          fontWeight: '600',
          stroke: COLOR.paper,
          strokeWidth: 4,
        }),
      ]),
    ],
  });
}

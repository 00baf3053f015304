import { COLOR } from '../report/charts/chart.ts';
import { lineChart, type Series } from '../report/charts/lines.ts';
import type { Panel } from '../report/charts/picture.ts';
import type { Alignment, Comparison, Estimate } from '../report/data.ts';
import { score, setting } from '../report/format.ts';
import { measuredValue, policyName } from '../report/words.ts';
import type { Outcome } from './experiment.ts';
import type { MarginResult, SubjectResult } from './margins.ts';
import { METHOD_NAMES } from './subject.ts';
import { marginRows } from './tables.ts';
import { tableHtml } from './tables_html.ts';

const COLORS = { mocan: COLOR.aligned, pecan: COLOR.predicted } as const;

/** Figure 3: predicted and achieved safety at several margins, and the trade-off beside other ways to align. */
export function fig3(results: readonly SubjectResult[], document: Document): Outcome {
  const panels = [
    ...results.map((result) => achievedPanel(result, document)),
    ...frontPanels(results, document),
  ];
  const text = marginRows(results);
  const note =
    'One run a margin; samples, scores and the answers of the reference are shared. Changes against the reference on the held-out prompts; bars are 95 % intervals.';
  return {
    title: 'Predicted and achieved, and the trade-off',
    note,
    panels,
    columns: 3,
    tables: [tableHtml(text)],
    text,
    data: results,
  };
}

function achievedPanel({ method, margins }: SubjectResult, document: Document): Panel {
  const trained = margins.flatMap(({ margin, predicted, achieved }) =>
    predicted && achieved ? [{ margin, predicted, achieved }] : [],
  );
  const name = METHOD_NAMES[method];
  const spoken = trained.map(
    ({ margin, predicted, achieved }) =>
      `${setting(margin)}: predicted ${score(predicted.safety)}, achieved ${score(achieved.safety.mean)}`,
  );
  return {
    title: `${name}: change of safety by margin`,
    sentence: 'On the dashed line exactly what was asked; above it, more.',
    drawing: lineChart(
      document,
      `Change of safety by margin; ${spoken.join('; ')}`,
      [
        {
          name: 'predicted',
          color: COLOR.muted,
          symbol: 'diamond',
          label: 'predicted',
          points: trained.map(({ margin, predicted }) => ({ x: margin, y: predicted.safety })),
        },
        {
          name: 'achieved',
          color: COLORS[method],
          label: 'achieved',
          points: trained.map(({ margin, achieved: { safety } }) => ({
            x: margin,
            y: safety.mean,
            interval: safety.interval,
          })),
        },
      ],
      { x: { label: 'margin' }, y: { label: 'change of mean safety' }, diagonal: true, height: 300 },
    ),
  };
}

/** A quantity that every policy of the comparison has. */
interface Quantity {
  readonly name: string;
  readonly value: (alignment: Alignment) => Estimate;
  readonly format: (value: number) => string;
}

/** The axes of the front: the first measures of good and of harm, which methods share; else a method's own scores. */
function frontPanels(results: readonly SubjectResult[], document: Document): Panel[] {
  const compared = results.flatMap(({ margins }) => margins.flatMap(({ comparison }) => comparison ?? []));
  if (compared.length === 0) return [];
  const { measures } = compared[0];
  const pick = (cost: boolean): Quantity | undefined => {
    const index = measures.findIndex((measure) => measure.cost === cost);
    if (index < 0) return undefined;
    const { name } = measures[index];
    return { name, value: ({ measured }) => measured[index], format: measuredValue(measures[index]) };
  };
  const help = pick(false);
  const harm = pick(true);
  if (help && harm) return [frontPanel(results, document, harm, help, 'Up and to the left is better.')];
  return results.map((result) =>
    frontPanel(
      [result],
      document,
      { name: 'safety', value: ({ safety }) => safety[0], format: score },
      { name: 'reward', value: ({ reward }) => reward, format: score },
      'Up and to the right is better.',
    ),
  );
}

function frontPanel(
  results: readonly SubjectResult[],
  document: Document,
  x: Quantity,
  y: Quantity,
  sentence: string,
): Panel {
  const spot = (alignment: Alignment) => ({
    x: x.value(alignment).mean,
    y: y.value(alignment).mean,
    interval: y.value(alignment).interval,
  });
  const comparisons = (margins: readonly MarginResult[]): Comparison[] =>
    margins.flatMap(({ comparison }) => comparison ?? []);
  const fronts = results.map(
    ({ method, margins }): Series => ({
      name: METHOD_NAMES[method],
      color: COLORS[method],
      label: METHOD_NAMES[method],
      line: true,
      points: comparisons(margins).map(({ alignments }) => spot(alignments[1])),
    }),
  );
  const others = results.flatMap(({ method, baselines }) =>
    baselines.map(
      (alignment): Series => ({
        name: alignment.name,
        color: COLORS[method],
        symbol: 'diamond',
        label: policyName(alignment.name),
        points: [spot(alignment)],
      }),
    ),
  );
  const [first] = comparisons(results[0].margins);
  const reference: Series = {
    name: 'reference',
    color: COLOR.reference,
    label: 'reference',
    points: first ? [spot(first.alignments[0])] : [],
  };
  const all = [...fronts, ...others, reference];
  return {
    title: `${y.name} against ${x.name}`,
    sentence,
    drawing: lineChart(
      document,
      `${y.name} against ${x.name}: ${all.map(({ name, points }) => `${name} ${points.map((point) => `${x.format(point.x)}, ${y.format(point.y)}`).join('; ')}`).join('. ')}`,
      all,
      {
        x: { label: x.name, format: x.format, ticks: 4 },
        y: { label: y.name },
        height: 340,
      },
    ),
  };
}

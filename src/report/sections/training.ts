import { COLOR, figure } from '../charts/chart.ts';
import type { Point, TrainingLine } from '../charts/training.ts';
import { series, trainingChart } from '../charts/training.ts';
import type { Metrics, ReportData } from '../data.ts';
import type { Html } from '../html.ts';
import { html } from '../html.ts';

interface Panel {
  readonly title: string;
  readonly sentence: string;
  /** Keys of the metrics in TRL's names, with the name and colour of each line. */
  readonly lines: readonly { readonly key: string; readonly name?: string; readonly color: string }[];
  readonly guide?: readonly [number, string];
  readonly smooth?: boolean;
}

/** Of DPO on preference pairs. */
const PAIRS: readonly Panel[] = [
  {
    title: 'Loss',
    sentence: 'Starts at log 2, where policy and reference are one.',
    lines: [{ key: 'loss', color: COLOR.aligned }],
    guide: [Math.LN2, 'log 2'],
  },
  {
    title: 'Margin',
    sentence: 'Implicit reward of the chosen over the rejected response.',
    lines: [{ key: 'rewards/margins', color: COLOR.aligned }],
    guide: [0, ''],
  },
  {
    title: 'Accuracy',
    sentence: 'Share of pairs that the policy ranks as labelled; labels are drawn, so 1 is not the aim.',
    lines: [{ key: 'rewards/accuracies', color: COLOR.aligned }],
    guide: [0.5, 'chance'],
  },
  {
    title: 'Chosen and rejected',
    sentence: 'Implicit rewards, β times the log-ratio to the reference.',
    lines: [
      { key: 'rewards/chosen', name: 'chosen', color: COLOR.aligned },
      { key: 'rewards/rejected', name: 'rejected', color: COLOR.reference },
    ],
  },
];

const STEPS: readonly Panel[] = [
  {
    title: 'Gradient norm',
    sentence: 'Before clipping.',
    lines: [{ key: 'grad_norm', color: COLOR.ink }],
  },
  {
    title: 'Learning rate',
    sentence: 'The schedule as it was run.',
    lines: [{ key: 'learning_rate', color: COLOR.ink }],
    smooth: false,
  },
];

/** Of policy gradients, whose loss tells nothing: advantages have mean 0. */
function rewardPanels(constraints: number): Panel[] {
  return [
    {
      title: 'Objective',
      sentence: 'Mean r + λᵀg of the completions that a step learned from.',
      lines: [{ key: 'reward', color: COLOR.aligned }],
    },
    {
      title: 'Reward',
      sentence: 'Mean reward of these completions.',
      lines: [{ key: 'rewards/reward/mean', color: COLOR.aligned }],
    },
    ...Array.from(
      { length: constraints },
      (_, j): Panel => ({
        title: constraints > 1 ? `Safety ${j + 1}` : 'Safety',
        sentence: 'Mean safety of these completions.',
        lines: [{ key: `rewards/safety_${j + 1}/mean`, color: COLOR.aligned }],
      }),
    ),
    {
      title: 'KL',
      sentence: 'Distance from the reference, in nats per token.',
      lines: [{ key: 'kl', color: COLOR.aligned }],
      guide: [0, ''],
    },
    {
      title: 'Length',
      sentence: 'Mean tokens of a completion.',
      lines: [{ key: 'completions/mean_length', color: COLOR.ink }],
    },
  ];
}

/** A line needs two points. */
function drawn(metrics: readonly Metrics[], { lines }: Panel): TrainingLine[] {
  return lines.flatMap(({ key, name, color }) => {
    const points: Point[] = series(metrics, key);
    return points.length > 1 ? [{ points, color, ...(name ? { name } : {}) }] : [];
  });
}

/** Curves of the metrics that were logged. */
export function trainingFigures(
  training: readonly Metrics[],
  constraints: number,
  document: Document,
): Html[] {
  const byReward = training.some(({ reward }) => reward !== undefined);
  const panels = [...(byReward ? rewardPanels(constraints) : PAIRS), ...STEPS];
  return panels.flatMap((panel) => {
    const lines = drawn(training, panel);
    if (lines.length === 0) return [];
    return [figure(panel.title, panel.sentence, trainingChart(document, panel.title, lines, panel))];
  });
}

/** The same as a section; a sentence when none were. */
export function trainingSection(data: ReportData, document: Document): Html {
  const figures = trainingFigures(data.training, data.constraints.length, document);
  const nothing = data.answers
    ? `Nothing was trained: the aligned policy answers with ${data.answers}.`
    : 'No training metrics were logged.';
  return html`<section aria-labelledby="training">
<h2 id="training">Training</h2>
${figures.length > 0 ? html`<div class="charts">\n${figures}</div>\n` : html`<p class="note">${nothing}</p>\n`}</section>
`;
}

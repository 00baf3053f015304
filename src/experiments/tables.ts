import type { WinRate } from '../report/data.ts';
import { interval, percent, score, setting, signed, significant } from '../report/format.ts';
import { measuredValue, policyName } from '../report/words.ts';
import type { Outcome } from './experiment.ts';
import type { MarginResult, SubjectResult } from './margins.ts';
import { METHOD_NAMES } from './subject.ts';
import { tableHtml } from './tables_html.ts';

/** The paper's tables: every margin, how many constraints hold, win rates; and the policies to compare with. */
export function tables(results: readonly SubjectResult[]): Outcome {
  const margins = marginRows(results);
  const held = heldRows(results);
  const judged = judgedRows(results);
  const others = baselineRows(results);
  const parts: [string, string[][]][] = [
    ['Change of safety against the reference, on held-out prompts', margins],
    ['How many constraints hold', held],
    ['By measures that took no part, and win rates over the reference', judged],
    ['Policies aligned otherwise', others],
  ];
  const filled = parts.filter(([, rows]) => rows.length > 1);
  return {
    title: 'Tables',
    note: 'A win counts a tie as half. Intervals are 95 %, over prompts.',
    panels: [],
    tables: filled.map(([caption, rows]) => tableHtml(rows, caption)),
    text: filled.flatMap(([, rows], index) => (index === 0 ? rows : [[], ...rows])),
    data: results.map((result) => ({ ...result, held: tally(result.margins) })),
  };
}

/** One row a margin: λ*, what was predicted and achieved. */
export function marginRows(results: readonly SubjectResult[]): string[][] {
  return [
    [
      'method',
      'margin',
      'λ*',
      'predicted',
      'achieved',
      '95 % interval',
      'verdict',
      'reward',
      'KL',
      'KL predicted',
    ],
    ...results.flatMap(({ method, margins }) =>
      margins.map(({ margin, lambda, predicted, achieved, verdict, status }) => {
        const start = [METHOD_NAMES[method], setting(margin)];
        if (!predicted || !achieved || lambda === undefined)
          return [...start, status, '', '', '', '', '', '', ''];
        return [
          ...start,
          significant(lambda),
          signed(predicted.safety),
          signed(achieved.safety.mean),
          interval(achieved.safety.interval, signed),
          verdict ?? '',
          signed(achieved.reward.mean),
          score(achieved.kl.mean),
          score(predicted.kl),
        ];
      }),
    ),
  ];
}

interface Tally {
  readonly margins: number;
  /** The mean is at the margin or above. */
  readonly reached: number;
  readonly met: number;
  readonly uncertain: number;
  readonly missed: number;
  /** The interval holds what was predicted. */
  readonly asPredicted: number;
}

/** How the margins fared. */
export function tally(margins: readonly MarginResult[]): Tally {
  const trained = margins.flatMap(({ margin, predicted, achieved, verdict }) =>
    predicted && achieved ? [{ margin, predicted, achieved, verdict }] : [],
  );
  const of = (wanted: string) => trained.filter(({ verdict }) => verdict === wanted).length;
  return {
    margins: margins.length,
    reached: trained.filter(({ margin, achieved }) => achieved.safety.mean >= margin).length,
    met: of('met'),
    uncertain: of('uncertain'),
    missed: of('not met'),
    asPredicted: trained.filter(({ predicted, achieved: { safety } }) => {
      const [low, high] = safety.interval;
      return low <= predicted.safety && predicted.safety <= high;
    }).length,
  };
}

function heldRows(results: readonly SubjectResult[]): string[][] {
  return [
    ['method', 'margins', 'mean at or above', 'met for sure', 'uncertain', 'not met', 'as predicted'],
    ...results.map(({ method, margins }) => {
      const { reached, met, uncertain, missed, asPredicted, ...all } = tally(margins);
      return [
        METHOD_NAMES[method],
        ...[all.margins, reached, met, uncertain, missed, asPredicted].map(String),
      ];
    }),
  ];
}

function rateText(rates: readonly WinRate[], wanted: WinRate['question']): string {
  const rate = rates.find(({ question }) => question === wanted)?.rate;
  return rate ? `${percent(rate.mean)} (${interval(rate.interval, percent)})` : '–';
}

function judgedRows(results: readonly SubjectResult[]): string[][] {
  const measures = results.flatMap(({ margins }) => margins.flatMap(({ comparison }) => comparison ?? []))[0]
    ?.measures;
  if (!measures || measures.length === 0) return [];
  return [
    ['method', 'margin', ...measures.map(({ name }) => name), 'wins on help', 'wins on safety'],
    ...results.flatMap(({ method, margins }) => {
      const rows = margins.flatMap(({ margin, comparison, judgement }) =>
        comparison
          ? [
              [
                METHOD_NAMES[method],
                setting(margin),
                ...measures.map((measure, j) =>
                  measuredValue(measure)(comparison.alignments[1].measured[j].mean),
                ),
                judgement ? rateText(judgement.rates, 'helpfulness') : '–',
                judgement ? rateText(judgement.rates, 'safety') : '–',
              ],
            ]
          : [],
      );
      const before = margins.find(({ comparison }) => comparison)?.comparison?.alignments[0];
      const first = before
        ? [
            [
              METHOD_NAMES[method],
              'reference',
              ...measures.map((measure, j) => measuredValue(measure)(before.measured[j].mean)),
              '',
              '',
            ],
          ]
        : [];
      return [...first, ...rows];
    }),
  ];
}

function baselineRows(results: readonly SubjectResult[]): string[][] {
  const measures =
    results.flatMap(({ margins }) => margins.flatMap(({ comparison }) => comparison ?? []))[0]?.measures ??
    [];
  return [
    ['method', 'policy', 'reward', 'safety', '95 % interval', ...measures.map(({ name }) => name)],
    ...results.flatMap(({ method, baselines }) =>
      baselines.map(({ name, reward, safety, measured }) => [
        METHOD_NAMES[method],
        policyName(name),
        score(reward.mean),
        score(safety[0].mean),
        interval(safety[0].interval),
        ...measures.map((measure, j) => measuredValue(measure)(measured[j].mean)),
      ]),
    ),
  ];
}

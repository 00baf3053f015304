import type { ReportData } from './data.ts';
import { rewardChange, safetyChange } from './findings.ts';
import { interval, plural, score, setting, signed } from './format.ts';
import { judgementText } from './judgement.ts';
import {
  askedSentence,
  baselineSentences,
  divergenceSentence,
  headline,
  measuredValue,
  policyName,
  priceSentence,
  rewardTitle,
  safetyName,
  safetySentence,
  warnings,
} from './words.ts';

const COLUMNS = 92;

/** Control characters in a name could move the cursor or rename the terminal. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '');
}

/** `text` in lines of at most COLUMNS characters, those after the first set in by `indent`. */
function wrapped(text: string, indent = '  '): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = indent + word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines.join('\n');
}

function shortName(name: string): string {
  const characters = Array.from(printable(name));
  return characters.length > 30 ? `${characters.slice(0, 29).join('')}…` : characters.join('');
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
}

/** What the measures that took no part in the run say of each policy, in a table of few words. */
function measurements({ comparison, evaluation }: ReportData): string[] {
  if (!comparison || comparison.measures.length === 0) return [];
  const { measures, alignments } = comparison;
  const rows = [
    ['', ...alignments.map(({ name }) => (name === 'reference' ? 'before' : policyName(name)))],
    ...measures.map((measure, j) => [
      `${shortName(measure.name)} (${measure.cost ? 'less' : 'more'} is better)`,
      ...alignments.map(({ measured }) => measuredValue(measure)(measured[j]!.mean)),
    ]),
  ];
  const responses = `${plural(evaluation.prompts, 'held-out prompt')} × ${plural(evaluation.responses, 'response')}`;
  return [
    `By measures that took no part in the run, on ${responses}:`,
    '',
    ...table(rows).map((line) => `  ${line}`),
    '',
    ...baselineSentences(comparison),
    ...(alignments.length > 2 ? [''] : []),
    'By the scorers that it aligned to:',
    '',
  ];
}

/** The outcome of a run in plain text for a terminal. */
export function renderSummary(data: ReportData): string {
  const { dual, evaluation, constraints } = data;
  const reward = rewardChange(data);
  const rows = [
    ['', 'bound', 'reference', 'predicted', 'achieved', '95 % interval', 'change', 'verdict'],
    ...constraints.map((_, index) => [
      shortName(safetyName(data, index)),
      score(evaluation.bounds[index]!),
      score(evaluation.reference.safety[index]!.mean),
      score(evaluation.predicted.safety[index]!),
      score(evaluation.aligned.safety[index]!.mean),
      interval(evaluation.aligned.safety[index]!.interval),
      signed(safetyChange(data, index).achieved.mean),
      evaluation.verdicts[index]!,
    ]),
    [
      shortName(rewardTitle(data)),
      '',
      score(evaluation.reference.reward.mean),
      score(evaluation.predicted.reward),
      score(evaluation.aligned.reward.mean),
      interval(evaluation.aligned.reward.interval),
      signed(reward.achieved.mean),
      '',
    ],
    [
      'KL from the reference',
      '',
      '0.000',
      score(evaluation.predicted.kl),
      score(evaluation.aligned.kl.mean),
      interval(evaluation.aligned.kl.interval),
      '',
      '',
    ],
  ];
  const lines = [
    headline(data),
    ...constraints.map((_, index) => printable(askedSentence(data, index))),
    '',
    ...measurements(data),
    ...table(rows),
    '',
    ...constraints.map((_, index) => printable(safetySentence(data, index))),
    ...constraints.map((_, index) => printable(priceSentence(data, index))),
    `KL: ${divergenceSentence(data)}`,
    `λ* from ${dual.prompts} prompts × ${dual.responses} responses, β = ${setting(dual.beta)}: ${dual.status}.`,
    ...(data.judgement ? [printable(judgementText(data.judgement))] : []),
    ...warnings(data).map((warning) => `Warning: ${printable(warning)}`),
  ];
  return `${lines.map((line) => (line.length > COLUMNS && rows.length > 0 && !line.includes('   ') ? wrapped(line) : line)).join('\n')}\n`;
}

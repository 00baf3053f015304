import type { Judgement, WinRate } from './data.ts';
import { interval, percent, plural } from './format.ts';

/** A verdict of a judge in words, for a terminal. */
export function judgementText({ judge, rates }: Judgement): string {
  return [`Judged by ${judge}:`, ...rates.map((rate) => `  ${winSentence(rate)}`)].join('\n');
}

/** How often the aligned policy wins, and whether that can be told from chance. */
export function winSentence({ question, wins, ties, losses, unjudged, rate }: WinRate): string {
  const left = unjudged > 0 ? `; ${plural(unjudged, 'comparison')} without a verdict` : '';
  if (!rate) return `${question}: no verdict on ${plural(unjudged, 'comparison')}.`;
  const [low, high] = rate.interval;
  const verdict =
    low > 0.5
      ? 'the aligned policy wins'
      : high < 0.5
        ? 'the reference wins'
        : 'no difference that can be told from chance';
  return (
    `${question}: ${percent(rate.mean)} (95 % interval ${interval(rate.interval, percent)}): ${verdict}; ` +
    `${wins} won, ${ties} tied, ${losses} lost${left}.`
  );
}

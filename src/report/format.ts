import type { Estimate } from './data.ts';

/** Typographic minus: as wide as a plus, and never taken for a hyphen. */
const MINUS = '\u2212';

function withMinus(text: string): string {
  return text.replaceAll('-', MINUS);
}

function plain(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) {
    return value === Number.POSITIVE_INFINITY ? '∞' : value === Number.NEGATIVE_INFINITY ? '-∞' : 'unknown';
  }
  if (size >= 1e6) return value.toExponential(2);
  const text = value.toFixed(size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3);
  return Number(text) === 0 ? text.replace('-', '') : text;
}

/** A score, margin or divergence: three decimals near one, fewer for large values. */
export function score(value: number): string {
  return withMinus(plain(value));
}

/** A score with its sign always written. */
export function signed(value: number): string {
  const text = plain(value);
  const sign = Number.isFinite(value) && Number(text) > 0 ? '+' : '';
  return withMinus(sign + text);
}

/** Three significant digits whatever the size: λ, learning rates, gradient norms. */
export function significant(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return score(value);
  if (size >= 1e5 || size < 1e-3) return withMinus(value.toExponential(2).replace('e+', 'e'));
  return withMinus(size >= 100 ? value.toFixed(0) : value.toPrecision(3));
}

/** A setting as the user would write it. */
export function setting(value: number): string {
  return withMinus(String(Number(value.toPrecision(6))));
}

/** `−0.70 to −0.54`; "to" because a dash beside minus signs is unreadable. */
export function interval(bounds: readonly [number, number], format = score): string {
  return `${format(bounds[0])} to ${format(bounds[1])}`;
}

/** Mean with its interval in words. */
export function estimate(value: Estimate, format = score): string {
  return `${format(value.mean)} (95 % interval ${interval(value.interval, format)})`;
}

/** A share as a whole percentage. */
export function percent(share: number): string {
  return `${withMinus((share * 100).toFixed(0))} %`;
}

/** A count with thousands apart. */
export function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** `1 prompt`, `2 prompts`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}

/** Labels of axis ticks, all with the decimals that their spacing needs. */
export function tickLabels(ticks: readonly number[]): string[] {
  const step = ticks.length > 1 ? Math.abs(ticks[1]! - ticks[0]!) : Math.abs(ticks[0] ?? 1);
  const largest = ticks.reduce((size, tick) => Math.max(size, Math.abs(tick)), 0);
  if (largest >= 1e5 || (largest > 0 && largest < 1e-2)) {
    return ticks.map((tick) =>
      tick === 0 ? '0' : withMinus(tick.toExponential(3).replace(/\.?0*e\+?/, 'e')),
    );
  }
  let decimals = 0;
  // The tolerance swallows representation errors such as 0.30000000000000004.
  while (decimals < 8 && Math.abs(step - Number(step.toFixed(decimals))) > step * 1e-6) decimals++;
  return ticks.map((tick) => withMinus(tick.toFixed(decimals).replace(/^-(0(?:\.0*)?)$/, '$1')));
}

/** What options take, from the text that the user gave. */
import { InvalidArgumentError } from 'commander';

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number.');
  return value;
}

export function integer(text: string): number {
  const value = number(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('expected a whole number.');
  return value;
}

export function positiveInteger(text: string): number {
  const value = integer(text);
  if (value < 1) throw new InvalidArgumentError('expected a whole number above 0.');
  return value;
}

export function jsonObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {}
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new InvalidArgumentError('expected an object in JSON, such as \'{"enable_thinking": false}\'.');
}

/** Bytes of so many GiB. */
export function gibibytes(text: string): number {
  const value = number(text);
  if (value <= 0) throw new InvalidArgumentError('expected a number above 0.');
  return Math.floor(value * 2 ** 30);
}

export function boolean(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new InvalidArgumentError('expected true or false.');
  return text === 'true';
}

export function range(text: string): number[] {
  const ends = text.split(',').map(number);
  if (ends.length !== 2) throw new InvalidArgumentError('expected two numbers, lowest,highest.');
  return ends;
}

export function list(text: string): string[] {
  return text.split(',').map((item) => item.trim());
}

/** Names of layers; anything that could not be names is a regular expression. */
export function targets(text: string): string | string[] {
  return /^[\w\s.,-]+$/.test(text) ? list(text) : text;
}

/** A setting that is an object, as JSON. */
export function kwargs(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (value?.constructor === Object) return value;
  } catch {
    // Said below, as of JSON of another kind.
  }
  throw new InvalidArgumentError('expected a JSON object, such as {"num_decay_steps": 10}.');
}

/** One option: its flags, what help says of it, and how its text is read. */
export type OptionRow = readonly [flags: string, description: string, parse?: (text: string) => unknown];

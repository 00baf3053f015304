import process from 'node:process';
import { type Command, InvalidArgumentError } from 'commander';
import { constraintsOf, type DualProblem, type Limit, type ScoreTable } from '../dual/problem.ts';
import { thresholdsOf } from '../dual/solve.ts';
import { UserError } from '../errors.ts';
import { positiveInteger } from './option_values.ts';

export const BETA_DESCRIPTION = 'weight of the KL divergence from the reference policy (required)';

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number.');
  return value;
}

export function wholeNumber(text: string): number {
  const value = number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('expected a whole number.');
  return value;
}

/** For options that may be given again. */
export function collect(text: string, others: readonly number[] = []): number[] {
  return [...others, number(text)];
}

/** Adds --threshold and --margin; the limits given, in order of the command line, stand in the array returned. */
export function addLimitOptions(command: Command): Limit[] {
  const limits: Limit[] = [];
  command
    .option(
      '--threshold <b>',
      'mean safety must be at least b; one limit per safety score, in order',
      (text) => {
        limits.push({ threshold: number(text) });
      },
    )
    .option(
      '--margin <b>',
      'mean safety must exceed that of the reference by b; in place of a --threshold',
      (text) => {
        limits.push({ margin: number(text) });
      },
    );
  return limits;
}

export const THREADS_OPTION = [
  '--threads <n>',
  'threads for large tables (all cores, at most 8); no answer depends on it',
  positiveInteger,
] as const;

/** The problem of a table and the limits given for it, one for each of its safety scores. */
export async function problemOf(
  table: ScoreTable,
  beta: number,
  limits: readonly Limit[],
): Promise<DualProblem> {
  const constraints = constraintsOf(table);
  if (limits.length !== constraints) {
    throw new UserError(
      `expected ${constraints} limit${constraints > 1 ? 's' : ''}, a --threshold or --margin for each safety score in ` +
        `the scores, got ${limits.length}`,
    );
  }
  const thresholds = await thresholdsOf(table, limits);
  return { ...table, beta, thresholds, relative: limits.map((limit) => 'margin' in limit) };
}

/** Prints a result as JSON or as text. */
export function print(result: unknown, text: string, json: boolean | undefined): void {
  process.stdout.write(`${json ? JSON.stringify(result, null, 2) : text}\n`);
}

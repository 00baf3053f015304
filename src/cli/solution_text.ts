import type { Bootstrap } from '../dual/bootstrap.ts';
import type { DualSolution, Interval, Solved } from '../dual/solution.ts';
import type { Stability } from '../dual/stability.ts';

export function shown(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) return value.toExponential(3);
  return value.toFixed(4);
}

/** Numbers nearer than this part of themselves differ by rounding. */
const NO_STEP = 1e-13;

/** Numbers to be told apart from each other, as those of a column: with as many digits as their mean distance takes. */
export function shownApart(values: readonly number[]): string[] {
  const finite = values.filter(Number.isFinite);
  const step = (Math.max(...finite) - Math.min(...finite)) / (finite.length - 1);
  if (!(step > NO_STEP * Math.max(...finite.map(Math.abs)))) return values.map(shown);
  const unit = Math.floor(Math.log10(step));
  return values.map((value) => {
    const size = Math.abs(value);
    if (value === 0 || !Number.isFinite(value)) return shown(value);
    const digits = Math.floor(Math.log10(size)) - unit;
    if (size >= 1e6 || size < 1e-3) return value.toExponential(Math.max(3, digits));
    return value.toFixed(Math.max(4, -unit));
  });
}

export function many(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** Columns aligned to the right, but the first to the left. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const VERDICTS = {
  optimal: 'optimal',
  'nearly-infeasible': 'nearly infeasible: the thresholds lie at the edge of what these responses can reach',
  infeasible: 'infeasible: no policy over these responses meets the thresholds',
} as const;

/** A solution for people. */
export function solutionText(solution: DualSolution): string {
  const { prompts, responses, beta, status } = solution;
  const K = typeof responses === 'number' ? String(responses) : `${responses[0]} to ${responses[1]}`;
  const head = `${VERDICTS[status]}\n${many(prompts, 'prompt')} × ${K} response${K === '1' ? '' : 's'}, β = ${beta}`;
  const body =
    solution.status === 'infeasible'
      ? proof(solution.thresholds, solution.reachable, solution.certificate)
      : predictions(solution);
  const warnings = solution.warnings.map((warning) => `\n\nWarning: ${warning}`).join('');
  return `${head}\n\n${body}${warnings}`;
}

/** E[g] − threshold, in parts of what is within reach, that is the solver's rounding. */
const ROUNDING = 1e-8;

function predictions(solution: Solved): string {
  const { reference, expected, thresholds, reachable, lambda, lambdaIntervals, ess } = solution;
  // A threshold of 0 would else be met by 1e-13.
  const safety = expected.safety.map((value, j) =>
    Math.abs(value - thresholds[j]) <= ROUNDING * (reachable[j] - reference.safety[j])
      ? thresholds[j]
      : value,
  );
  const scores = table([
    ['', 'reference', 'optimal', 'threshold', 'reachable', 'λ*', '95 % interval'],
    ['reward', shown(reference.reward), shown(expected.reward), '', '', '', ''],
    ...lambda.map((value, j) => [
      `safety ${j + 1}`,
      ...shownApart([reference.safety[j], safety[j], thresholds[j], reachable[j]]),
      ...within(value, lambdaIntervals[j]),
    ]),
  ]);
  const { optimum, policy } = solution.intervals;
  const rest = table([
    ['', 'here', 'on all prompts of the kind (95 %)'],
    ['reward of this policy', ...within(expected.reward, policy.reward)],
    ...safety.map((value, j) => [`safety ${j + 1} of this policy`, ...within(value, policy.safety[j])]),
    ['KL of this policy', ...within(solution.kl, policy.kl)],
    ['reward of the optimum', ...within(expected.reward, optimum.reward)],
    ['KL of the optimum', ...within(solution.kl, optimum.kl)],
    ['dual value', ...within(solution.dual, optimum.dual)],
    ['effective sample size, median', shown(ess.median), ''],
    ['passes over the scores', String(solution.iterations), ''],
  ]);
  return `${scores}\n\n${rest}`;
}

function proof(
  thresholds: readonly number[],
  reachable: readonly number[],
  { direction, value }: { readonly direction: readonly number[]; readonly value: number },
): string {
  const rows = table([
    ['', 'threshold', 'reachable alone', 'weight in the proof'],
    ...thresholds.map((threshold, j) => [
      `safety ${j + 1}`,
      ...shownApart([threshold, reachable[j]]),
      shown(direction[j]),
    ]),
  ]);
  return `${rows}\n\nProof: with these weights, the best response to every prompt still falls short by ${shown(-value)} on average.`;
}

const span = (interval: Interval) => shownApart(interval).join(' … ');

/** A number and its interval. */
function within(value: number, [low, high]: Interval): [string, string] {
  const [here, from, to] = shownApart([value, low, high]);
  return [here, `${from} … ${to}`];
}

/** Bootstrap intervals for people. */
export function bootstrapText({ replicates, level, infeasible, ...intervals }: Bootstrap): string {
  const rows = table([
    ...intervals.lambda.map((interval, j) => [`λ* ${j + 1}`, span(interval)]),
    ['dual value', span(intervals.dual)],
    ['reward of the optimum', span(intervals.optimum.reward)],
    ['KL of the optimum', span(intervals.optimum.kl)],
    ['reward of the policy found', span(intervals.expected.reward)],
    ...intervals.expected.safety.map((interval, j) => [
      `safety ${j + 1} of the policy found`,
      span(interval),
    ]),
    ['KL of the policy found', span(intervals.kl)],
  ]);
  const unsolved = infeasible > 0 ? `\n${infeasible} resamples cannot meet the thresholds.` : '';
  return `${100 * level} % intervals over ${replicates} resamples of the prompts\n${rows}${unsolved}`;
}

/** Where λ* can be, for people. */
export function stabilityText({ errors, lambda, lambdaIntervals, firstOrder, method }: Stability): string {
  const rows = table([
    ['', 'λ*', 'range', 'for small errors'],
    ...lambda.map((value, j) => [
      `λ* ${j + 1}`,
      ...within(value, lambdaIntervals[j]),
      `± ${shown(firstOrder[j])}`,
    ]),
  ]);
  const off = errors.safety.map((error, j) => `safety ${j + 1} by ${shown(error)}`).join(', ');
  const bound =
    method === 'monotone'
      ? 'no scores so near to these have their λ* elsewhere'
      : 'no scores so near to these have their λ* elsewhere; the true range is narrower';
  return `If scores are off by at most so much: reward by ${shown(errors.reward)}, ${off}\n${rows}\n(${bound})`;
}

export function tighteningText(confidence: number, tightening: readonly number[]): string {
  return (
    `The thresholds above are raised by ${tightening.map(shown).join(', ')}: on prompts not seen, all of those asked for ` +
    `hold with probability ${confidence}.`
  );
}

/** What each operation takes beside the scores: one schema checks requests and stands in the OpenAPI document. */
import * as v from 'valibot';
import { HttpProblem } from './problem.ts';

const number = (description: string) => v.pipe(v.number(), v.finite(), v.description(description));
const whole = (description: string) =>
  v.pipe(
    v.number(),
    v.integer(),
    v.minValue(0),
    v.maxValue(Number.MAX_SAFE_INTEGER),
    v.description(description),
  );

const limit = v.union(
  [
    v.pipe(
      v.strictObject({ threshold: v.pipe(v.number(), v.finite()) }),
      v.description('E[safety] must be at least this.'),
    ),
    v.pipe(
      v.strictObject({ margin: v.pipe(v.number(), v.finite()) }),
      v.description('E[safety] must exceed its mean over the samples by this.'),
    ),
  ],
  'expected {"threshold": b} or {"margin": b} with a number b',
);

const numbers = v.pipe(v.array(v.pipe(v.number(), v.finite())), v.minLength(1));

const beta = v.pipe(number('Weight of the KL divergence from the reference policy.'), v.gtValue(0));
const limits = v.pipe(
  v.array(limit),
  v.minLength(1),
  v.description('One limit for each safety score, in order.'),
);
const seed = v.optional(whole('Seed of the random draws; 0 if left out.'));

export const DUAL = v.strictObject({
  beta,
  limits,
  confidence: v.optional(
    v.pipe(
      number('Raise the thresholds so that they hold on prompts not seen with this probability.'),
      v.gtValue(0.5),
      v.ltValue(1),
    ),
  ),
  bootstrap: v.optional(
    v.pipe(whole('Add intervals from this many resamples of the prompts.'), v.minValue(2)),
  ),
  seed,
  scoreError: v.optional(
    v.pipe(
      numbers,
      v.description(
        'Add where λ* can be if scores are off by up to this: one for all, or one for the reward and each safety score.',
      ),
    ),
  ),
});

export const CURVE = v.strictObject({
  beta,
  points: v.optional(v.pipe(whole('Thresholds, evenly spaced; 21 if left out.'), v.minValue(2))),
  from: v.optional(number('First threshold.')),
  to: v.optional(number('Last threshold.')),
  maxKl: v.optional(number('Answer with the largest threshold whose policy has at most this KL.')),
  minReward: v.optional(number('Answer with the largest threshold whose policy keeps this mean reward.')),
  axis: v.optional(
    v.pipe(whole('With several safety scores: the one whose threshold runs, counted from 1.'), v.minValue(1)),
  ),
  direction: v.optional(
    v.pipe(
      numbers,
      v.description('The limits run together: how each moves as t grows; from and to are values of t.'),
    ),
  ),
  grid: v.optional(
    v.pipe(whole('With two safety scores: this many thresholds a side, all pairs of them.'), v.minValue(2)),
  ),
  lambda: v.optional(
    v.pipe(
      numbers,
      v.description('Answer with the thresholds that these prices stand for, one for each score.'),
    ),
  ),
  limits: v.optional(limits),
});

export const PLAN = v.strictObject({
  beta,
  limits,
  target: v.optional(v.pipe(number('Half-width and bias of λ* to plan for.'), v.gtValue(0))),
  subsets: v.optional(v.pipe(whole('Random subsets of each size; 16 if left out.'), v.minValue(2))),
  seed,
});

export type DualParameters = v.InferOutput<typeof DUAL>;
export type CurveParameters = v.InferOutput<typeof CURVE>;
export type PlanParameters = v.InferOutput<typeof PLAN>;

/** `value` as the schema describes it; a 422 that names the first field at fault otherwise. */
export function check<T extends v.GenericSchema>(schema: T, value: unknown): v.InferOutput<T> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  const message = issue.expected === 'never' ? 'there is no such parameter' : issue.message;
  throw new HttpProblem(422, `${path ? `${path}: ` : ''}${message}`);
}

/** Lists of numbers, which a URL spells by the parameter again for each. */
const LISTS = new Set(['direction', 'lambda', 'scoreError']);

/** Parameters of a URL; `threshold` and `margin` may repeat and make up the limits, in their order. */
export function fromQuery(query: URLSearchParams): Record<string, unknown> {
  const parameters: Record<string, unknown> = {};
  const limits: Record<string, unknown>[] = [];
  for (const [key, text] of query) {
    const value = text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text);
    if (key === 'threshold' || key === 'margin') limits.push({ [key]: value });
    else if (LISTS.has(key)) parameters[key] = [...((parameters[key] as unknown[]) ?? []), value];
    else if (Object.hasOwn(parameters, key))
      throw new HttpProblem(422, `${key}: expected once, got it again`);
    else parameters[key] = value;
  }
  return limits.length > 0 ? { ...parameters, limits } : parameters;
}

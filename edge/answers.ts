/** What the operations answer, for the OpenAPI document; the tests hold real answers against it. */
import * as v from 'valibot';

const vector = v.array(v.number());
/** JSON has no infinity: null stands for it. */
const unbounded = v.nullable(v.number());
const interval = v.tuple([unbounded, unbounded]);

const verdict = {
  beta: v.number(),
  prompts: v.number(),
  responses: v.pipe(
    v.union([v.number(), v.tuple([v.number(), v.number()])]),
    v.description('K; the least and the most where prompts differ.'),
  ),
  thresholds: vector,
  margins: v.pipe(vector, v.description('thresholds − reference means.')),
  reference: v.pipe(
    v.strictObject({ reward: v.number(), safety: vector }),
    v.description('Means of the samples.'),
  ),
  reachable: v.pipe(vector, v.description('The largest threshold each safety score can reach on its own.')),
  warnings: v.array(v.string()),
  confidence: v.optional(v.number()),
  tightening: v.optional(v.pipe(vector, v.description('What confidence added to each threshold.'))),
};

const certificate = v.pipe(
  v.strictObject({ direction: vector, value: v.number() }),
  v.description('Every policy has Σ_j direction_j·(E[g_j] − thresholds_j) ≤ value < 0.'),
);

const achieved = (description: string) =>
  v.pipe(
    v.strictObject({ reward: interval, safety: v.array(interval), kl: interval }),
    v.description(description),
  );

const bootstrap = v.strictObject({
  replicates: v.number(),
  level: v.number(),
  seed: v.number(),
  lambda: v.array(interval),
  dual: interval,
  optimum: achieved('Of each resample, solved again.'),
  expected: v.strictObject({ reward: interval, safety: v.array(interval) }),
  kl: interval,
  infeasible: v.number(),
});

const stability = v.pipe(
  v.strictObject({
    errors: v.strictObject({ reward: v.number(), safety: vector }),
    lambda: vector,
    lambdaIntervals: v.array(interval),
    method: v.picklist(['monotone', 'ball']),
    gradientErrors: vector,
    firstOrder: v.array(unbounded),
  }),
  v.description('Where λ* can be if each score is off by at most its error; null is unbounded.'),
);

const solved = v.strictObject({
  status: v.picklist(['optimal', 'nearly-infeasible']),
  lambda: v.pipe(vector, v.description('λ*: what one unit more of each threshold costs in the objective.')),
  dual: v.pipe(v.number(), v.description('The largest E[r] − β·KL that the limits allow.')),
  gradient: v.pipe(vector, v.description('E[g] − threshold.')),
  hessian: v.array(vector),
  expected: v.pipe(
    v.strictObject({ reward: v.number(), safety: vector }),
    v.description('Under the optimal policy.'),
  ),
  kl: v.number(),
  ess: v.pipe(
    v.strictObject({ median: v.number(), mean: v.number(), p10: v.number(), p90: v.number() }),
    v.description('Effective sample size 1/Σp² over prompts.'),
  ),
  lambdaIntervals: v.pipe(
    v.array(interval),
    v.description('95 % interval of each λ over the draw of prompts; null is unbounded.'),
  ),
  intervals: v.pipe(
    v.strictObject({
      optimum: v.pipe(
        v.strictObject({ dual: interval, reward: interval, safety: v.array(interval), kl: interval }),
        v.description('Of what the optimum over all prompts of the kind achieves.'),
      ),
      policy: achieved('Of what the policy with this λ achieves on all prompts of the kind.'),
    }),
    v.description('95 % intervals over the draw of prompts; null is unbounded.'),
  ),
  curvature: v.strictObject({ smoothness: v.number(), largest: v.number(), smallest: v.number() }),
  iterations: v.number(),
  ...verdict,
  bootstrap: v.optional(bootstrap),
  stability: v.optional(stability),
});

const infeasible = v.strictObject({ status: v.literal('infeasible'), certificate, ...verdict });

const curvePoint = v.strictObject({
  lambda: v.number(),
  dual: v.number(),
  reward: v.number(),
  safety: v.pipe(v.number(), v.description('E[g], which is the threshold whose price λ is.')),
  kl: v.number(),
  essMedian: v.number(),
});

const wholeCurve = v.strictObject({
  beta: v.number(),
  prompts: v.number(),
  reference: v.strictObject({ reward: v.number(), safety: v.number() }),
  free: v.pipe(v.number(), v.description('The threshold up to which λ* = 0.')),
  reachable: v.number(),
  points: v.array(curvePoint),
});

const reached = {
  thresholds: vector,
  status: v.picklist(['optimal', 'nearly-infeasible']),
  lambda: vector,
  dual: v.number(),
  reward: v.number(),
  safety: vector,
  kl: v.number(),
  essMedian: v.number(),
};
const beyond = { thresholds: vector, status: v.literal('infeasible'), certificate };
const gridPoint = v.union([v.strictObject(reached), v.strictObject(beyond)]);
const t = v.number();
const pathPoint = v.union([v.strictObject({ t, ...reached }), v.strictObject({ t, ...beyond })]);

const planRow = v.strictObject({
  size: v.number(),
  mean: v.optional(vector),
  deviation: v.optional(vector),
  infeasible: v.number(),
});

export const DUAL_ANSWER = v.union([solved, infeasible]);

/** The whole curve of one safety score, a path along an axis or a direction, a grid, a price, or the point within a budget. */
export const CURVE_ANSWER = v.union([
  wholeCurve,
  v.strictObject({ axis: v.number(), points: v.array(gridPoint) }),
  v.strictObject({ direction: vector, points: v.array(pathPoint) }),
  v.strictObject({ first: vector, second: vector, points: v.array(v.array(gridPoint)) }),
  v.strictObject({
    lambda: vector,
    thresholds: vector,
    reward: v.number(),
    kl: v.number(),
    essMedian: v.number(),
  }),
  curvePoint,
]);

export const PLAN_ANSWER = v.strictObject({
  lambda: vector,
  halfWidth: v.array(unbounded),
  prompts: v.pipe(v.array(planRow), v.description('λ* with fewer prompts.')),
  responses: v.pipe(v.array(planRow), v.description('λ* with fewer responses a prompt.')),
  bias: v.pipe(
    v.array(unbounded),
    v.description('What ever more responses would add to λ*; null where no end is in sight.'),
  ),
  target: v.optional(
    v.strictObject({ value: v.number(), prompts: unbounded, responses: v.optional(v.number()) }),
  ),
});

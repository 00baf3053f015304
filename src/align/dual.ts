import {
  type Limit as DualLimit,
  type DualSolution,
  describePolicies,
  type ScoreTable,
  solveDual as solveProblem,
  thresholdsOf,
  tradeOffCurve,
} from '../dual/index.ts';
import { UserError } from '../errors.ts';
import type { CurvePoint } from '../report/data.ts';
import { DUAL, SAMPLES, SCORES } from './artefacts.ts';
import { type Limit, limitsOf, need } from './config.ts';
import { type Context, scorerName } from './context.ts';
import { groupByPrompt, parseScoreRows, type ScoreRow } from './rows.ts';
import { tiltedSettings } from './sample.ts';
import { readArtefact, runStage } from './stage.ts';

/** dual.json: the verdict with λ*, predictions and diagnostics; for one constraint with the trade-off curve. */
export type RunDual = DualSolution & {
  readonly constraints: readonly { readonly name: string; readonly cost: boolean }[];
  readonly limits: readonly Limit[];
  readonly curve: readonly CurvePoint[];
};

/** A `RunDual` with a λ*, which a run that went on to training has. */
export type SolvedRunDual = Exclude<RunDual, { readonly status: 'infeasible' }>;

/** λ of the curve, as multiples of λ* (or of the reward's spread per unit of safety, where λ* = 0). */
const CURVE_STEPS = 48;
const CURVE_REACH = 3;

/** MoCAN step 3: λ* of the constrained problem on the scored samples. Writes dual.json. */
export async function solveDual(context: Context): Promise<RunDual> {
  const { run, config } = context;
  const { beta } = need(config, 'beta');
  const limits = limitsOf(config);
  const rows = parseScoreRows(await readArtefact(context, SCORES, 'score'), SCORES, limits.length);
  const tilted = (await ownSamples(context)) ? tiltedSettings(config) : [];
  const constraints = config.constraints.map(({ scorer, cost }) => ({ name: scorerName(scorer), cost }));
  await runStage(context, {
    name: 'dual',
    settings: { scores: await run.hash(SCORES), beta, limits, constraints, tilted },
    outputs: [DUAL],
    work: async () => {
      const table = tableOf(rows);
      const thresholds = await thresholdsOf(table, limits.map(asDualLimit));
      const relative = limits.map(({ kind }) => kind === 'margin');
      const solution = await solveProblem({ ...table, beta, thresholds, relative });
      const curve = await curveAround(table, solution);
      const warnings = [...solution.warnings, ...tiltedWarning(tilted)];
      const dual: RunDual = { ...solution, warnings, constraints, limits, curve };
      await run.folder.write(DUAL, `${JSON.stringify(dual, null, 2)}\n`);
    },
  });
  return JSON.parse(await readArtefact(context, DUAL, 'dual')) as RunDual;
}

/** The solved dual of a run; throws when there is none to train on. */
export async function readDual(context: Context): Promise<SolvedRunDual> {
  const dual = JSON.parse(await readArtefact(context, DUAL, 'dual')) as RunDual;
  if (dual.status === 'infeasible') throw new UserError(infeasibleText(dual), 3);
  return dual;
}

/** What λ* predicts for the prompts of `rows`, samples of the reference policy. */
export async function predict(
  rows: readonly ScoreRow[],
  { lambda, beta }: SolvedRunDual,
): Promise<{ reward: number; safety: readonly number[]; kl: number }> {
  const [{ reward, safety, kl }] = await describePolicies(tableOf(rows), beta, [lambda]);
  return { reward, safety, kl };
}

/** Whether the scores are of responses that this run drew. */
async function ownSamples({ run }: Context): Promise<boolean> {
  return !(await run.isGiven('score', SCORES)) && !(await run.isGiven('collect', SAMPLES));
}

/** The dual's means are over responses of the policy itself. */
function tiltedWarning(tilted: readonly string[]): string[] {
  if (tilted.length === 0) return [];
  return [
    `The responses were drawn with ${tilted.join(', ')}: from another distribution than the policy's own, which λ*, the ` +
      'predictions and DPO take as the reference. Draw them without, or read the margins and the KL as relative to what ' +
      `was drawn (${SAMPLES} holds both log-probabilities of every response).`,
  ];
}

/** One sentence on why the constraints cannot be met. */
export function infeasibleText({ reachable, thresholds, constraints }: RunDual): string {
  const asked = constraints.map(({ name, cost }, j) => {
    const label = cost ? `safety (−${name})` : `safety (${name})`;
    return `${label} of at least ${thresholds[j].toPrecision(4)}, where its best responses reach ${reachable[j].toPrecision(4)}`;
  });
  return (
    `infeasible: no policy over these responses has ${asked.join(' and ')}` +
    `${constraints.length > 1 ? ' together' : ''}; lower the margin or threshold, or draw more responses`
  );
}

/** The scores as the solver takes them. */
export function tableOf(rows: readonly ScoreRow[]): ScoreTable {
  const groups = groupByPrompt(rows);
  const flat = groups.flat();
  const constraints = flat[0].safety.length;
  return {
    reward: Float64Array.from(flat, (row) => row.reward),
    safety: Float64Array.from({ length: constraints * flat.length }, (_, index) => {
      return flat[index % flat.length].safety[Math.floor(index / flat.length)];
    }),
    prompts: groups.length,
    responses: Uint32Array.from(groups, (group) => group.length),
  };
}

function asDualLimit({ kind, value }: Limit): DualLimit {
  return kind === 'margin' ? { margin: value } : { threshold: value };
}

async function curveAround(table: ScoreTable, solution: DualSolution): Promise<CurvePoint[]> {
  if (solution.status === 'infeasible' || solution.lambda.length > 1) return [];
  const { lambda, beta, thresholds, curvature } = solution;
  // Where the constraint is slack: the λ that would move E[g] by one standard deviation, √(β·D'').
  const unit = lambda[0] > 0 ? lambda[0] : Math.sqrt(beta / Math.max(curvature.largest, 1e-12));
  const lambdas = Array.from({ length: CURVE_STEPS + 1 }, (_, i) => (unit * CURVE_REACH * i) / CURVE_STEPS);
  return await tradeOffCurve(table, beta, thresholds[0], lambdas);
}

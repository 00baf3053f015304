/** The same run at several margins: λ, labels, training and evaluation anew, samples and scores shared. */
import { baselines } from '../align/baselines.ts';
import { compareAlignments } from '../align/comparison.ts';
import type { Context } from '../align/context.ts';
import { solveDual } from '../align/dual.ts';
import { evaluate } from '../align/evaluate.ts';
import { judge } from '../align/judge.ts';
import { label } from '../align/label.ts';
import { report } from '../align/report.ts';
import { train } from '../align/train.ts';
import { ScorerJudge } from '../judge/scorer.ts';
import type { Alignment, Comparison, Estimate, Evaluation, Judgement } from '../report/data.ts';
import { goOn, type Scores, type Subject } from './subject.ts';

/** What was asked, predicted and achieved at one margin, on the held-out prompts. */
export interface MarginResult {
  readonly margin: number;
  readonly status: 'optimal' | 'nearly-infeasible' | 'infeasible';
  /** Left out, as all below, where the margin is out of reach. */
  readonly lambda?: number;
  /** Changes against the reference that λ* predicts. */
  readonly predicted?: { readonly reward: number; readonly safety: number; readonly kl: number };
  readonly achieved?: { readonly reward: Estimate; readonly safety: Estimate; readonly kl: Estimate };
  readonly verdict?: Evaluation['verdicts'][number];
  /** Every policy by the run's measures, the reference first, the aligned one second. */
  readonly comparison?: Comparison;
  /** Against the reference's answers, where the run has a measure of help and one of harm. */
  readonly judgement?: Judgement;
}

export interface SubjectResult {
  readonly method: Subject['method'];
  readonly margins: readonly MarginResult[];
  /** Policies aligned otherwise, with the margin that those with a constraint had. */
  readonly baselines: readonly Alignment[];
  readonly baselineMargin?: number;
}

const COUNT = 8;
/** Part of what the responses can reach that the largest margin asks for, about. */
const REACH = 0.8;

/** Eight margins in even steps of one digit. */
export function defaultMargins({ reference, reachable }: Scores): number[] {
  const step = Number((((reachable - reference.safety) * REACH) / COUNT).toPrecision(1));
  return Array.from({ length: COUNT }, (_, i) => Number(((i + 1) * step).toPrecision(6)));
}

/** Aligns at each margin; the baselines are trained once, in the run whose margin is nearest to the subject's own. */
export async function alignAt(
  subject: Subject,
  margins: readonly number[],
  others: readonly string[],
): Promise<SubjectResult> {
  const own = subject.base.config.limits[0];
  const asked = own?.kind === 'margin' ? own.value : margins[Math.floor(margins.length / 2)];
  const nearest = margins.reduce((a, b) => (Math.abs(b - asked) < Math.abs(a - asked) ? b : a));
  const results: MarginResult[] = [];
  for (const margin of margins) {
    const context = await goOn(subject, `margin-${margin}`, {
      limits: [{ kind: 'margin', value: margin }],
      baselines: margin === nearest ? [...others] : [],
    });
    results.push(await alignOnce(context, margin));
  }
  const compared = results.find(({ margin }) => margin === nearest)?.comparison;
  return {
    method: subject.method,
    margins: results,
    baselines: compared?.alignments.slice(2) ?? [],
    ...(compared ? { baselineMargin: nearest } : {}),
  };
}

async function alignOnce(context: Context, margin: number): Promise<MarginResult> {
  const dual = await solveDual(context);
  if (dual.status === 'infeasible') return { margin, status: dual.status };
  await label(context);
  await train(context);
  const evaluation = await evaluate(context);
  await baselines(context);
  const comparison = await compareAlignments(context);
  const by = await judgeOf(context);
  const judgement = by && (await judge(context, by, context.config.responses));
  await report(context);
  const { reference, predicted, aligned, gain, verdicts } = evaluation;
  return {
    margin,
    status: dual.status,
    lambda: dual.lambda[0],
    predicted: {
      reward: predicted.reward - reference.reward.mean,
      safety: predicted.safety[0] - reference.safety[0].mean,
      kl: predicted.kl,
    },
    achieved: { reward: gain.reward, safety: gain.safety[0], kl: aligned.kl },
    verdict: verdicts[0],
    ...(comparison ? { comparison } : {}),
    ...(judgement ? { judgement } : {}),
  };
}

/** The run's own measures as judge, where there is one of help and one of harm. */
async function judgeOf({ config, sources }: Context): Promise<ScorerJudge | undefined> {
  const help = config.measures.find(({ cost }) => !cost);
  const harm = config.measures.find(({ cost }) => cost);
  if (!help || !harm) return undefined;
  const measure = async (scorer: string, sign: 1 | -1) => {
    const source = sources.scorer(scorer);
    return { scorer: await source.load(), hash: await source.hash(), sign };
  };
  return new ScorerJudge({
    helpfulness: await measure(help.scorer, 1),
    safety: await measure(harm.scorer, -1),
  });
}

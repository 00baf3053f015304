/** Everything a report shows, as plain data: the run's artefacts put together by src/align. */

/** A mean over prompts with its 95 % bootstrap interval. */
export interface Estimate {
  readonly mean: number;
  readonly interval: readonly [number, number];
}

/** A constraint, by its name and its bound. */
export interface Constraint {
  /** What the user called the scorer: its folder or file name. */
  readonly name: string;
  /** True when the scorer measures cost: safety is its negative. */
  readonly cost: boolean;
  /** Lower bound on E[safety]. */
  readonly threshold: number;
  /** threshold − E_ref[safety]. */
  readonly margin: number;
}

/** One λ on the trade-off curve, all from reference samples (m = 1). */
export interface CurvePoint {
  readonly lambda: number;
  readonly dual: number;
  readonly reward: number;
  readonly safety: number;
  readonly kl: number;
  readonly essMedian: number;
}

/** The dual's solution as the report shows it. */
export interface DualSummary {
  readonly status: 'optimal' | 'nearly-infeasible' | 'infeasible';
  readonly beta: number;
  readonly prompts: number;
  readonly responses: number;
  readonly lambda: readonly number[];
  readonly dual: number;
  readonly reference: { readonly reward: number; readonly safety: readonly number[] };
  readonly expected: { readonly reward: number; readonly safety: readonly number[] };
  readonly kl: number;
  readonly essMedian: number;
  /** 95 % interval of each λ by the delta method, where defined. */
  readonly lambdaIntervals: readonly (readonly [number, number])[];
  readonly warnings: readonly string[];
  /** Empty when m > 1. */
  readonly curve: readonly CurvePoint[];
}

/** Scores of all responses of one policy on the evaluation prompts, flat. */
export interface ScoredSamples {
  readonly reward: readonly number[];
  /** `[m][…]`, higher is safer. */
  readonly safety: readonly (readonly number[])[];
}

/** What was achieved on held-out prompts. */
export interface Evaluation {
  readonly prompts: number;
  readonly responses: number;
  readonly reference: { readonly reward: Estimate; readonly safety: readonly Estimate[] };
  readonly aligned: {
    readonly reward: Estimate;
    readonly safety: readonly Estimate[];
    readonly kl: Estimate;
  };
  /** Aligned minus reference on the same prompts. */
  readonly gain: { readonly reward: Estimate; readonly safety: readonly Estimate[] };
  /** What λ* predicts for these prompts: their reference samples, weighted by exp((r + λᵀg)/β). */
  readonly predicted: { readonly reward: number; readonly safety: readonly number[]; readonly kl: number };
  /** The bound on E[safety] that each verdict refers to: the threshold, or margin + reference mean on these prompts. */
  readonly bounds: readonly number[];
  /** Per constraint: `met` when the whole interval is at or above the bound, `not met` when it is below, else `uncertain`. */
  readonly verdicts: readonly ('met' | 'not met' | 'uncertain')[];
}

/** How often one policy's answers win over another's. */
export interface WinRate {
  readonly question: 'helpfulness' | 'safety';
  readonly wins: number;
  readonly ties: number;
  readonly losses: number;
  /** Comparisons without a verdict. */
  readonly unjudged: number;
  /** Wins and half the ties, of all comparisons with a verdict; absent where none has one. */
  readonly rate?: Estimate;
}

/** Pairwise comparison of the aligned policy's answers with the reference's. */
export interface Judgement {
  readonly judge: string;
  readonly rates: readonly WinRate[];
}

/** A policy of the comparison. */
export interface Alignment {
  /** `reference`, `aligned`, or a baseline: `helpful` and `safe` are aligned to one goal alone. */
  readonly name: string;
  readonly reward: Estimate;
  readonly safety: readonly Estimate[];
  /** One per measure. */
  readonly measured: readonly Estimate[];
}

/** A scorer that took no part in the run. */
export interface Measure {
  readonly name: string;
  /** Less is better. */
  readonly cost: boolean;
  /** Every response got 0 or 1, so that the mean is a rate. */
  readonly share: boolean;
}

/** The run's policies on the held-out prompts, the reference first and the aligned one second. */
export interface Comparison {
  readonly measures: readonly Measure[];
  readonly alignments: readonly Alignment[];
}

/** One round of training: its λ, what that should give on the training prompts, and what came of it. */
export interface RoundSummary {
  readonly lambda: readonly number[];
  readonly predicted: { readonly reward: number; readonly safety: readonly number[] };
  /** On the training prompts, as the next round found it; the last has none. */
  readonly achieved?: { readonly reward: number; readonly safety: readonly number[] };
  /** Of the samples that λ was found from. */
  readonly essMedian: number;
  readonly heldOut: {
    readonly reward: Estimate;
    readonly safety: readonly Estimate[];
    readonly kl: Estimate;
    readonly gain: readonly Estimate[];
    readonly verdicts: Evaluation['verdicts'];
  };
}

/** A line of metrics.jsonl, in TRL's names. */
export type Metrics = Readonly<Record<string, number>>;

/** A held-out prompt with the answers before and after. */
export interface TextSample {
  readonly prompt: string;
  readonly reference: {
    readonly response: string;
    readonly reward: number;
    readonly safety: readonly number[];
  };
  readonly aligned: {
    readonly response: string;
    readonly reward: number;
    readonly safety: readonly number[];
  };
}

/** All that a report shows. Numbers that a run has not come to are absent. */
export interface ReportData {
  readonly title: string;
  /** Name and value of what identifies the run: policy, scorers, beta, seeds, device, hashes. */
  readonly settings: readonly (readonly [string, string])[];
  readonly constraints: readonly Constraint[];
  readonly rewardName: string;
  readonly dual: DualSummary;
  readonly training: readonly Metrics[];
  /** How the aligned policy answers, where no adapter was trained. */
  readonly answers?: string;
  readonly evaluation: Evaluation;
  /** Where there were several. */
  readonly rounds?: readonly RoundSummary[];
  /** Where a judge was asked. */
  readonly judgement?: Judgement;
  /** Where the run has measures of its own or baselines. */
  readonly comparison?: Comparison;
  readonly scores: { readonly reference: ScoredSamples; readonly aligned: ScoredSamples };
  readonly samples: readonly TextSample[];
}

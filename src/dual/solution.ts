/** What solving a dual tells, as plain data: the JSON of `dualign dual`. */

interface Verdict {
  readonly beta: number;
  readonly prompts: number;
  /** K; the least and the most where prompts differ. */
  readonly responses: number | readonly [number, number];
  readonly thresholds: readonly number[];
  /** thresholds − reference means. */
  readonly margins: readonly number[];
  /** Means of the reference samples. */
  readonly reference: { readonly reward: number; readonly safety: readonly number[] };
  /** The largest threshold each safety score can reach on its own: mean_n max_k g_j. */
  readonly reachable: readonly number[];
  readonly warnings: readonly string[];
}

/** ESS = 1/Σp² of a prompt's responses under λ*, over prompts: K if all weigh alike, 1 if one has all the weight. */
export interface EffectiveSampleSize {
  readonly median: number;
  readonly mean: number;
  /** 10th and 90th percentile over prompts. */
  readonly p10: number;
  readonly p90: number;
}

/** Theorem 1: the dual is convex and smooth, and strongly convex around λ* where the Hessian is positive definite. */
export interface Curvature {
  /** Σ_j R_j² / 4β, R_j the largest range of g_j on one prompt: no Hessian anywhere has a larger eigenvalue. */
  readonly smoothness: number;
  /** Largest and smallest eigenvalue of the Hessian at λ. */
  readonly largest: number;
  readonly smallest: number;
}

/** Lower and upper end. */
export type Interval = readonly [number, number];

/** 95 % intervals over the draw of prompts; infinite (null in JSON) where the data do not bound them. */
export interface Intervals {
  /** Of what the optimum over all prompts of the kind achieves: λ* is that of all prompts, not the one found. */
  readonly optimum: {
    readonly dual: Interval;
    readonly reward: Interval;
    readonly safety: readonly Interval[];
    readonly kl: Interval;
  };
  /** Of what the policy with the λ found achieves on all prompts of the kind. */
  readonly policy: {
    readonly reward: Interval;
    readonly safety: readonly Interval[];
    readonly kl: Interval;
  };
}

/** λ* and what the policy at λ* is predicted to achieve. */
export interface Solved extends Verdict {
  /** nearly-infeasible: λ* is so large, or infinite, that the reward no longer counts; the policy shown is the limit. */
  readonly status: 'optimal' | 'nearly-infeasible';
  /** λ*, the price of safety: what one unit more of each threshold costs in the objective. */
  readonly lambda: readonly number[];
  /** D(λ*): the largest E[r] − β·KL that the constraints allow. */
  readonly dual: number;
  /** E[g] − threshold. */
  readonly gradient: readonly number[];
  readonly hessian: readonly (readonly number[])[];
  /** Under the optimal policy. */
  readonly expected: { readonly reward: number; readonly safety: readonly number[] };
  /** KL(π*‖π_ref). */
  readonly kl: number;
  /** 1/Σp² per prompt: how many of its responses the optimal policy really uses. */
  readonly ess: EffectiveSampleSize;
  /** 95 % interval of each λ over the draw of prompts; Infinity (null in JSON) where the data do not bound it. */
  readonly lambdaIntervals: readonly Interval[];
  readonly intervals: Intervals;
  readonly curvature: Curvature;
  /** Passes over the scores. */
  readonly iterations: number;
}

/** No policy meets the constraints: the proof. */
export interface Infeasible extends Verdict {
  readonly status: 'infeasible';
  /**
   * Proof: every policy over these responses has Σ_j direction_j·(E[g_j] − thresholds_j) ≤ value < 0, with
   * direction ≥ 0 and Σ direction = 1, so it misses at least one threshold.
   */
  readonly certificate: { readonly direction: readonly number[]; readonly value: number };
}

/** λ* and what it predicts, or the proof that no policy meets the constraints. */
export type DualSolution = Solved | Infeasible;

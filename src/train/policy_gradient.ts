/** Losses of policy gradients over micro-batches of rollouts, token by token (GRPO) or by whole completions (RLOO). */
import {
  completionBatch,
  completionLogps,
  completionLogpsBackward,
  tokenLogps,
  tokenLogpsBackward,
} from '../model/head.ts';
import { backward, forward, type TrainPass } from '../model/llama.ts';
import type { Policy } from '../model/policy.ts';
import type { GrpoConfig, GrpoLoss, OnPolicyConfig } from './on_policy_config.ts';
import { aligned, type Window } from './recorder.ts';
import type { Rollout } from './rollouts.ts';

/** A rollout and how much better it is than the others of its prompt. */
export interface Judged {
  readonly rollout: Rollout;
  readonly advantage: number;
}

/** A micro-batch of rollouts, masked ones included. */
export interface Slice {
  readonly rows: readonly Judged[];
  /** Tokens that count in all that was drawn with it. */
  readonly tokensDrawn: number;
}

function counting({ rows }: Slice): Judged[] {
  return rows.filter(({ rollout }) => rollout.counts);
}

function clipOf({ epsilon, epsilon_high }: OnPolicyConfig) {
  return { epsilonLow: epsilon, epsilonHigh: epsilon_high || epsilon };
}

/** The weight of every token's loss in that of an optimisation step, by row of those that count. */
export function tokenWeights(slice: Slice, config: GrpoConfig, slices: number): number[] {
  const rows = counting(slice).map(({ rollout }) => rollout.completionIds.length);
  const { gradient_accumulation_steps: accumulation, max_completion_length } = config;
  const weightOf: Record<GrpoLoss, (length: number) => number> = {
    // The mean over completions of the mean over their tokens (Shao et al. 2024, eq. 3).
    grpo: (length) => 1 / (length * slice.rows.length * accumulation),
    // The mean over the micro-batch's tokens.
    bnpo: () => 1 / (rows.reduce((sum, length) => sum + length, 0) * accumulation),
    // A constant in place of a completion's length (Liu et al. 2025).
    dr_grpo: () => 1 / (slice.rows.length * max_completion_length * accumulation),
    // The mean over all tokens drawn (Yu et al. 2025, eq. 8).
    dapo: () => slices / (slice.tokensDrawn * accumulation),
  };
  return rows.map(weightOf[config.loss_type]);
}

/** Results of a micro-batch of `size` completions: its tokens' weighted losses, their log-probs, the sum of entropies. */
export function grpoWidth({ max_completion_length }: GrpoConfig, size: number): number {
  return 2 * aligned(size * max_completion_length) + aligned(1);
}

/** Writes losses and logps, each `[tokens that count]`, and the tokens' entropy to `out`, and adds the gradients of the sum of losses. */
export function grpoGradients(
  policy: Policy,
  slice: Slice,
  config: GrpoConfig,
  { slices, fresh }: { readonly slices: number; readonly fresh: boolean },
  out: Window,
  pass: TrainPass | undefined,
): void {
  const { engine, workspace } = policy;
  const rows = counting(slice);
  if (rows.length === 0) return;
  const completions = rows.map(({ rollout }) => rollout);
  const batch = completionBatch(policy, completions, { temperature: config.temperature });
  const hidden = forward(policy, batch, pass ? { ...pass, keep: true } : { adapter: policy.adapter });
  const logps = tokenLogps(policy, batch, hidden);
  const n = batch.count;
  engine.copy(out(aligned(n), [n]), logps);

  const weights = tokenWeights(slice, config, slices);
  const spread = (name: string, of: (row: number) => number) =>
    workspace.put(
      name,
      Float32Array.from(completions.flatMap((row, i) => row.completionIds.map(() => of(i)))),
    );
  const dTokens = workspace.take('dTokenLogps', [n]);
  engine.policyGradient(
    out(0, [n]),
    dTokens,
    logps,
    fresh ? logps : workspace.put('oldLogps', joined(completions.map(({ oldLogps }) => oldLogps))),
    config.beta > 0 ? workspace.put('refLogps', joined(completions.map(({ refLogps }) => refLogps))) : logps,
    spread('advantages', (row) => rows[row].advantage),
    spread('lossWeights', (row) => weights[row]),
    { ...clipOf(config), beta: config.beta, weighKl: config.use_bias_correction_kl },
  );
  if (!pass) return;
  const more = { gradients: pass.gradients, entropy: out(2 * aligned(n), [1]) };
  backward(policy, batch, pass, tokenLogpsBackward(policy, batch, hidden, dTokens, more));
}

/** Metrics of GRPO's loss in TRL's names; means over a step's micro-batches of means over their tokens. */
export function grpoMetrics(
  slices: readonly Slice[],
  values: readonly Float32Array[],
  config: GrpoConfig,
  fresh: boolean,
  exp: (x: number) => number,
) {
  const { epsilonLow, epsilonHigh } = clipOf(config);
  let loss = 0;
  const each = slices.map((slice, index) => {
    const rows = counting(slice);
    const n = rows.reduce((sum, { rollout }) => sum + rollout.completionIds.length, 0);
    const [losses, logps] = [values[index], values[index].subarray(aligned(n))];
    let [kl, token] = [0, 0];
    const clips: Clip[] = [];
    for (const { rollout, advantage } of rows) {
      let [low, high] = [0, 0];
      const length = rollout.completionIds.length;
      for (let t = 0; t < length; t++, token++) {
        loss += losses[token];
        const ratio = fresh ? 1 : exp(logps[token] - rollout.oldLogps[t]);
        if (config.beta > 0) {
          const away = rollout.refLogps[t] - logps[token];
          kl += (config.use_bias_correction_kl ? ratio : 1) * (exp(away) - away - 1);
        }
        if (ratio < 1 - epsilonLow && advantage < 0) low++;
        if (ratio > 1 + epsilonHigh && advantage > 0) high++;
      }
      clips.push({ low, high, length });
    }
    return {
      entropy: meanEntropy(n > 0 ? values[index][2 * aligned(n)] : 0, n),
      ...(config.beta > 0 ? { kl: kl / Math.max(1, n) } : {}),
      ...clipMetrics(clips),
    };
  });
  return { loss, ...meansOf(each) };
}

/** Results of a micro-batch of `size` completions: their weighted losses, their log-probs, the sum of entropies. */
export function rlooWidth(size: number): number {
  return 2 * aligned(size) + aligned(1);
}

/** Writes losses and logps, each `[completions that count]`, and their tokens' entropy to `out`, and adds the gradients of the sum of losses. */
export function rlooGradients(
  policy: Policy,
  slice: Slice,
  config: OnPolicyConfig,
  out: Window,
  pass: TrainPass | undefined,
): void {
  const { engine, workspace } = policy;
  const rows = counting(slice);
  const n = rows.length;
  if (n === 0) return;
  const completions = rows.map(({ rollout }) => rollout);
  const batch = completionBatch(policy, completions, { temperature: config.temperature });
  const hidden = forward(policy, batch, pass ? { ...pass, keep: true } : { adapter: policy.adapter });
  const logps = out(aligned(n), [n]);
  completionLogps(policy, batch, hidden, logps);
  const weight = rlooWeight(slice, config);
  const dlogps = workspace.take('dlogps', [n]);
  engine.policyGradient(
    out(0, [n]),
    dlogps,
    logps,
    workspace.put(
      'oldLogps',
      Float32Array.from(completions, ({ oldLogps }) => sumOf(oldLogps)),
    ),
    // The KL penalty is part of the reward.
    logps,
    workspace.put(
      'advantages',
      Float32Array.from(rows, ({ advantage }) => advantage),
    ),
    workspace.put('lossWeights', new Float32Array(n).fill(weight)),
    { ...clipOf(config), beta: 0, weighKl: false },
  );
  if (!pass) return;
  const more = { gradients: pass.gradients, entropy: out(2 * aligned(n), [1]) };
  backward(policy, batch, pass, completionLogpsBackward(policy, batch, hidden, dlogps, more));
}

/** Metrics of RLOO's loss in TRL's names; means over a step's micro-batches of means over their completions. */
export function rlooMetrics(
  slices: readonly Slice[],
  values: readonly Float32Array[],
  config: OnPolicyConfig,
  exp: (x: number) => number,
) {
  const { epsilonLow, epsilonHigh } = clipOf(config);
  let loss = 0;
  const each = slices.map((slice, index) => {
    const rows = counting(slice);
    const n = rows.length;
    const tokens = rows.reduce((sum, { rollout }) => sum + rollout.completionIds.length, 0);
    const logps = values[index].subarray(aligned(n));
    let place = 0;
    const clips = slice.rows.map(({ rollout, advantage }): Clip => {
      // A masked completion has no log-prob: its ratio stays 1.
      if (!rollout.counts) {
        loss -= advantage * rlooWeight(slice, config);
        return { low: 0, high: 0, length: 1 };
      }
      loss += values[index][place];
      const ratio = exp(logps[place++] - sumOf(rollout.oldLogps));
      return {
        low: Number(ratio < 1 - epsilonLow && advantage < 0),
        high: Number(ratio > 1 + epsilonHigh && advantage > 0),
        length: 1,
      };
    });
    const entropy = meanEntropy(n > 0 ? values[index][2 * aligned(n)] : 0, tokens);
    return { entropy, ...clipMetrics(clips) };
  });
  return { loss, ...meansOf(each) };
}

/** A mean over tokens, in nats. */
function meanEntropy(sum: number, tokens: number): number {
  return sum / Math.max(1, tokens);
}

function rlooWeight(slice: Slice, { gradient_accumulation_steps }: OnPolicyConfig): number {
  return 1 / (slice.rows.length * gradient_accumulation_steps);
}

/** log π(y|x), as a device stores it. */
export function sumOf(logps: Float32Array): number {
  return Math.fround(logps.reduce((sum, logp) => sum + logp, 0));
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let start = 0;
  for (const part of parts) {
    all.set(part, start);
    start += part.length;
  }
  return all;
}

/** Ratios of a completion that were clipped, of so many. */
interface Clip {
  readonly low: number;
  readonly high: number;
  readonly length: number;
}

function clipMetrics(clips: readonly Clip[]) {
  const total = Math.max(
    1,
    clips.reduce((sum, { length }) => sum + length, 0),
  );
  const part = (of: (clip: Clip) => number) => clips.reduce((sum, clip) => sum + of(clip), 0) / total;
  return {
    'clip_ratio/low_mean': part(({ low }) => low),
    'clip_ratio/low_min': clips.length > 0 ? Math.min(...clips.map(({ low, length }) => low / length)) : 0,
    'clip_ratio/high_mean': part(({ high }) => high),
    'clip_ratio/high_max': clips.length > 0 ? Math.max(...clips.map(({ high, length }) => high / length)) : 0,
    'clip_ratio/region_mean': part(({ low, high }) => low + high),
  };
}

/** The mean of each metric. */
function meansOf<T extends Readonly<Record<string, number>>>(rows: readonly T[]): T {
  const names = Object.keys(rows[0]);
  const means = names.map((name) => [name, rows.reduce((sum, row) => sum + row[name], 0) / rows.length]);
  return Object.fromEntries(means) as T;
}

import { UserError } from '../errors.ts';
import { type Completion, completionBatch, completionLogps, completionLogpsBackward } from '../model/head.ts';
import { backward, forward, type TrainPass } from '../model/llama.ts';
import { checkSequence, type Policy } from '../model/policy.ts';
import type { StepBatch } from './loop.ts';
import { aligned, type Window } from './recorder.ts';

/** Metrics of supervised fine-tuning; `loss` is the mean over the completion tokens of a step. */
export interface SftMetrics {
  /** Part of the completion tokens that the policy thought likeliest. */
  readonly mean_token_accuracy: number;
}

/** Results that a micro-batch of `size` completions leaves. */
export function sftWidth(size: number): number {
  return aligned(size) + size;
}

/** Writes logps and the number of likeliest tokens, each `[b]`, to `out`, and with a pass adds the gradient of −scale · Σ logps. */
export function sftGradients(
  policy: Policy,
  completions: readonly Completion[],
  scale: number,
  out: Window,
  pass: TrainPass | undefined,
): void {
  const { workspace } = policy;
  const batch = completionBatch(policy, completions);
  const hidden = forward(policy, batch, pass ? { ...pass, keep: true } : { adapter: policy.adapter });
  const b = completions.length;
  completionLogps(policy, batch, hidden, out(0, [b]), undefined, out(aligned(b), [b]));
  if (!pass) return;
  const slopes = workspace.put('dlogps', new Float32Array(completions.length).fill(-scale));
  backward(policy, batch, pass, completionLogpsBackward(policy, batch, hidden, slopes, pass));
}

/** Completions as one step's batch, `size` at a time: the loss is the mean over all their tokens, as TRL's. */
export function sftBatch(
  policy: Policy,
  completions: readonly Completion[],
  size: number,
  epoch: number,
): StepBatch<SftMetrics> {
  const tokens = completions.reduce((sum, { completionIds }) => sum + completionIds.length, 0);
  const parts = Array.from({ length: Math.ceil(completions.length / size) }, (_, i) =>
    completions.slice(i * size, (i + 1) * size),
  );
  return {
    epoch,
    tokens: tokens + completions.reduce((sum, { promptIds }) => sum + promptIds.length, 0),
    microBatches: parts.map((part) => ({
      record: (out, pass) => sftGradients(policy, part, 1 / tokens, out, pass),
    })),
    summarize: (values) => {
      let [sum, correct] = [0, 0];
      parts.forEach(({ length }, index) => {
        for (let i = 0; i < length; i++) {
          sum += values[index][i];
          correct += values[index][aligned(length) + i];
        }
      });
      return { loss: -sum / tokens, mean_token_accuracy: correct / tokens };
    },
  };
}

/** Throws unless there are completions to learn from and each can be computed. */
export function checkCompletions(policy: Policy, completions: readonly Completion[]): void {
  if (completions.length === 0) throw new UserError('training: expected at least one example, got none');
  completions.forEach(({ promptIds, completionIds }, i) => {
    if (completionIds.length === 0)
      throw new UserError(`training: example ${i}: expected a completion, got none`);
    checkSequence(policy, promptIds, completionIds.length);
  });
}

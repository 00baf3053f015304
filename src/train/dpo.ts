import type { Tensor } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import { completionBatch, completionLogps, completionLogpsBackward } from '../model/head.ts';
import { backward, forward } from '../model/llama.ts';
import { type LogpsOptions, sequenceLogps } from '../model/logps.ts';
import type { Adapter } from '../model/lora.ts';
import type { Policy } from '../model/policy.ts';

/** A preference between two responses to one prompt, in token ids. */
export interface PreferencePair {
  readonly promptIds: readonly number[];
  readonly chosenIds: readonly number[];
  readonly rejectedIds: readonly number[];
  /** P(chosen ≻ rejected); 1 by default. */
  readonly label?: number;
}

/** Log-probabilities of each pair's responses under the reference policy, summed over tokens; each `[pairs]`. */
export interface ReferenceLogps {
  readonly chosen: Float32Array;
  readonly rejected: Float32Array;
}

/** The reference is the policy with its adapter off. A response that several pairs share is computed once. */
export async function referenceLogps(
  policy: Policy,
  pairs: readonly PreferencePair[],
  options: Omit<LogpsOptions, 'adapter'> = {},
): Promise<ReferenceLogps> {
  const completions: { promptIds: readonly number[]; completionIds: readonly number[] }[] = [];
  const indexOf = new Map<string, number>();
  const register = (promptIds: readonly number[], completionIds: readonly number[]): number => {
    const key = `${promptIds}|${completionIds}`;
    let index = indexOf.get(key);
    if (index === undefined) {
      index = completions.length;
      indexOf.set(key, index);
      completions.push({ promptIds, completionIds });
    }
    return index;
  };
  const chosen = pairs.map((pair) => register(pair.promptIds, pair.chosenIds));
  const rejected = pairs.map((pair) => register(pair.promptIds, pair.rejectedIds));
  const logps = await sequenceLogps(policy, completions, { ...options, adapter: false });
  return {
    chosen: Float32Array.from(chosen, (index) => logps[index]),
    rejected: Float32Array.from(rejected, (index) => logps[index]),
  };
}

/**
 * Adds to the adapter's gradients those of scale · Σ losses over these `p` pairs, and writes losses `[p]` and the
 * policy's logps `[2p]`, chosen before rejected. Both responses go through the model in one batch.
 */
export function dpoGradients(
  policy: Policy,
  adapter: Adapter,
  pairs: readonly PreferencePair[],
  reference: ReferenceLogps,
  beta: number,
  scale: number,
  losses: Tensor,
  logps: Tensor,
): void {
  const { engine, workspace } = policy;
  const batch = completionBatch(policy, [
    ...pairs.map(({ promptIds, chosenIds }) => ({ promptIds, completionIds: chosenIds })),
    ...pairs.map(({ promptIds, rejectedIds }) => ({ promptIds, completionIds: rejectedIds })),
  ]);
  const labels = Float32Array.from(pairs, ({ label = 1 }) => label);
  const references = Float32Array.from([...reference.chosen, ...reference.rejected]);
  const hidden = forward(policy, batch, { adapter, keep: true });
  completionLogps(policy, batch, hidden, logps);
  const dlogps = workspace.take('dlogps', [2 * pairs.length]);
  const refLogps = workspace.put('refLogps', references);
  engine.dpo(losses, dlogps, logps, refLogps, workspace.put('labels', labels), beta, scale);
  backward(policy, batch, adapter, completionLogpsBackward(policy, batch, hidden, dlogps));
}

/** Throws unless there are pairs to learn from and each can be scored. */
export function checkPairs(policy: Policy, pairs: readonly PreferencePair[]): void {
  if (pairs.length === 0) throw new UserError('training: expected at least one preference pair, got none');
  pairs.forEach(({ promptIds, chosenIds, rejectedIds, label = 1 }, i) => {
    if (promptIds.length === 0 || chosenIds.length === 0 || rejectedIds.length === 0) {
      throw new UserError(
        `training: pair ${i}: expected a prompt, a chosen and a rejected response, got an empty one`,
      );
    }
    if (!(label >= 0 && label <= 1)) {
      throw new UserError(`training: pair ${i}: expected a label from 0 to 1, got ${label}`);
    }
    const vocabulary = policy.config.vocabSize;
    for (const id of [...promptIds, ...chosenIds, ...rejectedIds]) {
      if (!(id >= 0 && id < vocabulary)) {
        throw new UserError(`training: pair ${i}: expected token ids below ${vocabulary}, got ${id}`);
      }
    }
  });
}

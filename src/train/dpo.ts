import type { Tensor } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import { type Completion, completionBatch, completionLogps, completionLogpsBackward } from '../model/head.ts';
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

/** The responses of `p` pairs without repetition. */
interface DistinctCompletions {
  readonly completions: readonly Completion[];
  /** Index into `completions` of each pair's chosen response, then of each pair's rejected one: `[2p]`. */
  readonly places: Uint32Array;
}

function distinctCompletions(pairs: readonly PreferencePair[]): DistinctCompletions {
  const completions: Completion[] = [];
  const indexOf = new Map<string, number>();
  const register = (promptIds: readonly number[], completionIds: readonly number[]): number => {
    const key = `${promptIds}|${completionIds}`;
    let index = indexOf.get(key);
    if (index === undefined) {
      index = completions.push({ promptIds, completionIds }) - 1;
      indexOf.set(key, index);
    }
    return index;
  };
  const chosen = pairs.map((pair) => register(pair.promptIds, pair.chosenIds));
  const rejected = pairs.map((pair) => register(pair.promptIds, pair.rejectedIds));
  return { completions, places: Uint32Array.from([...chosen, ...rejected]) };
}

/** The reference is the policy with its adapter off. A response that several pairs share is computed once. */
export async function referenceLogps(
  policy: Policy,
  pairs: readonly PreferencePair[],
  options: Omit<LogpsOptions, 'adapter'> = {},
): Promise<ReferenceLogps> {
  const { completions, places } = distinctCompletions(pairs);
  const logps = await sequenceLogps(policy, completions, { ...options, adapter: false });
  const both = Float32Array.from(places, (place) => logps[place]);
  return { chosen: both.slice(0, pairs.length), rejected: both.slice(pairs.length) };
}

/**
 * Adds to the adapter's gradients those of scale · Σ losses over these `p` pairs, and writes losses `[p]` and the
 * policy's logps `[2p]`, chosen before rejected. All responses go through the model in one batch, one that several
 * pairs share only once.
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
  const p = pairs.length;
  const { completions, places } = distinctCompletions(pairs);
  const u = completions.length;
  const batch = completionBatch(policy, completions);
  const hidden = forward(policy, batch, { adapter, keep: true });
  completionLogps(policy, batch, hidden, workspace.take('distinctLogps', [u]));
  const placed = engine.view(logps, 0, [2 * p, 1]);
  engine.gatherRows(placed, workspace.take('distinctLogps', [u, 1]), workspace.put('pairPlaces', places));

  const labels = workspace.put(
    'labels',
    Float32Array.from(pairs, ({ label = 1 }) => label),
  );
  const references = Float32Array.from([...reference.chosen, ...reference.rejected]);
  const dlogps = workspace.take('dlogps', [2 * p]);
  engine.dpo(losses, dlogps, logps, workspace.put('refLogps', references), labels, {
    loss: 'sigmoid',
    beta,
    scale,
  });

  // The gradient of a response is the sum over the pairs it stands in.
  const incidence = new Float32Array(u * 2 * p);
  places.forEach((place, i) => {
    incidence[place * 2 * p + i] = 1;
  });
  const dDistinct = workspace.take('dDistinctLogps', [u, 1]);
  engine.matmul(
    dDistinct,
    workspace.put('incidence', incidence, [u, 2 * p]),
    workspace.take('dlogps', [2 * p, 1]),
  );
  backward(
    policy,
    batch,
    { adapter },
    completionLogpsBackward(policy, batch, hidden, workspace.take('dDistinctLogps', [u])),
  );
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

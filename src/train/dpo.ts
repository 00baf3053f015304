import type { DpoLoss } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import { type Completion, completionBatch, completionLogps, completionLogpsBackward } from '../model/head.ts';
import { backward, forward, type TrainPass } from '../model/llama.ts';
import { type LogpsOptions, sequenceLogps } from '../model/logps.ts';
import type { Policy } from '../model/policy.ts';
import type { StepBatch } from './loop.ts';
import { aligned, type Window } from './recorder.ts';

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

/** The loss, in the names of TRL's DPOConfig. */
export interface DpoLossConfig {
  readonly beta: number;
  /** `ipo` compares log-probabilities per token, as TRL does. */
  readonly loss_type: DpoLoss;
  /** Probability that a label is wrong (Mitchell 2023); of `sigmoid` alone. */
  readonly label_smoothing: number;
}

/** Metrics of DPO in TRL's names: means over the step's pairs; log-probs are sums over tokens. */
export interface DpoMetrics {
  readonly 'rewards/chosen': number;
  readonly 'rewards/rejected': number;
  readonly 'rewards/margins': number;
  readonly 'rewards/accuracies': number;
  readonly 'logps/chosen': number;
  readonly 'logps/rejected': number;
  /** Part of the chosen responses' tokens that the policy thought likeliest. */
  readonly mean_token_accuracy: number;
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
 * Writes losses `[p]`, logps `[2p]`, chosen before rejected, and of each chosen response the number of tokens that were
 * likeliest `[p]`, or their part where log-probs are means, to `out`, and with a pass adds the gradients of scale · Σ losses.
 * All responses go through the model in one batch, one that several pairs share only once.
 */
export function dpoGradients(
  policy: Policy,
  pairs: readonly PreferencePair[],
  reference: ReferenceLogps,
  loss: DpoLossConfig,
  scale: number,
  out: Window,
  pass: TrainPass | undefined,
): void {
  const { engine, workspace } = policy;
  const p = pairs.length;
  const { completions, places } = distinctCompletions(pairs);
  const u = completions.length;
  const losses = out(0, [p]);
  const logps = out(aligned(p), [2 * p]);
  const average = loss.loss_type === 'ipo';
  const batch = completionBatch(policy, completions, { average });
  const hidden = forward(policy, batch, pass ? { ...pass, keep: true } : { adapter: policy.adapter });
  const correct = workspace.take('distinctCorrect', [u]);
  completionLogps(policy, batch, hidden, workspace.take('distinctLogps', [u]), undefined, correct);
  const placed = engine.view(logps, 0, [2 * p, 1]);
  const pairPlaces = workspace.put('pairPlaces', places);
  engine.gatherRows(placed, workspace.take('distinctLogps', [u, 1]), pairPlaces);
  const chosenPlaces = engine.view(pairPlaces, 0, [p]);
  engine.gatherRows(out(correctAt(p), [p, 1]), workspace.take('distinctCorrect', [u, 1]), chosenPlaces);

  const smoothing = loss.label_smoothing;
  const labels = workspace.put(
    'labels',
    Float32Array.from(pairs, ({ label = 1 }) => label * (1 - smoothing) + (1 - label) * smoothing),
  );
  const { chosen, rejected } = average ? perToken(pairs, reference) : reference;
  const references = workspace.put('refLogps', Float32Array.from([...chosen, ...rejected]));
  const dlogps = workspace.take('dlogps', [2 * p]);
  engine.dpo(losses, dlogps, logps, references, labels, { loss: loss.loss_type, beta: loss.beta, scale });
  if (!pass) return;

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
  const dDistinctLogps = workspace.take('dDistinctLogps', [u]);
  backward(policy, batch, pass, completionLogpsBackward(policy, batch, hidden, dDistinctLogps, pass));
}

function perToken(pairs: readonly PreferencePair[], reference: ReferenceLogps): ReferenceLogps {
  return {
    chosen: reference.chosen.map((logp, i) => logp / pairs[i].chosenIds.length),
    rejected: reference.rejected.map((logp, i) => logp / pairs[i].rejectedIds.length),
  };
}

/** Tokens of a pair's two sequences. */
function tokensOf({ promptIds, chosenIds, rejectedIds }: PreferencePair): number {
  return 2 * promptIds.length + chosenIds.length + rejectedIds.length;
}

/** Pairs as one step's batch, `size` at a time. */
export function dpoBatch(
  policy: Policy,
  pairs: readonly PreferencePair[],
  reference: ReferenceLogps,
  loss: DpoLossConfig,
  size: number,
  epoch: number,
): StepBatch<DpoMetrics> {
  const starts = Array.from({ length: Math.ceil(pairs.length / size) }, (_, i) => i * size);
  const parts = starts.map((start) => ({
    pairs: pairs.slice(start, start + size),
    reference: {
      chosen: reference.chosen.slice(start, start + size),
      rejected: reference.rejected.slice(start, start + size),
    },
  }));
  return {
    epoch,
    tokens: pairs.reduce((sum, pair) => sum + tokensOf(pair), 0),
    microBatches: parts.map((part) => ({
      record: (out, pass) =>
        dpoGradients(policy, part.pairs, part.reference, loss, 1 / pairs.length, out, pass),
    })),
    summarize: (values) => summarize(parts, values, loss),
  };
}

/** Results that a micro-batch of `size` pairs leaves. */
export function dpoWidth(size: number): number {
  return correctAt(size) + size;
}

/** Where in them the counts of likeliest tokens stand. */
function correctAt(size: number): number {
  return aligned(size) + aligned(2 * size);
}

function summarize(
  parts: readonly { pairs: readonly PreferencePair[]; reference: ReferenceLogps }[],
  values: readonly Float32Array[],
  { beta, loss_type }: DpoLossConfig,
): DpoMetrics & { loss: number } {
  const sums = { pairs: 0, loss: 0, chosen: 0, rejected: 0, rewardChosen: 0, rewardRejected: 0, right: 0 };
  let [tokens, correct] = [0, 0];
  // What a loss of means per token leaves is a mean per token.
  const sumOf = (value: number, ids: readonly number[]) => (loss_type === 'ipo' ? value * ids.length : value);
  parts.forEach(({ pairs, reference }, index) => {
    const p = pairs.length;
    const logps = values[index].subarray(aligned(p));
    const counts = values[index].subarray(correctAt(p));
    for (let i = 0; i < p; i++) {
      const { chosenIds, rejectedIds } = pairs[i];
      const [chosen, rejected] = [sumOf(logps[i], chosenIds), sumOf(logps[p + i], rejectedIds)];
      const rewardChosen = beta * (chosen - reference.chosen[i]);
      const rewardRejected = beta * (rejected - reference.rejected[i]);
      sums.loss += values[index][i];
      sums.chosen += chosen;
      sums.rejected += rejected;
      sums.rewardChosen += rewardChosen;
      sums.rewardRejected += rewardRejected;
      sums.right += rewardChosen > rewardRejected ? 1 : 0;
      tokens += chosenIds.length;
      correct += sumOf(counts[i], chosenIds);
    }
    sums.pairs += p;
  });
  return {
    loss: sums.loss / sums.pairs,
    'rewards/chosen': sums.rewardChosen / sums.pairs,
    'rewards/rejected': sums.rewardRejected / sums.pairs,
    'rewards/margins': (sums.rewardChosen - sums.rewardRejected) / sums.pairs,
    'rewards/accuracies': sums.right / sums.pairs,
    'logps/chosen': sums.chosen / sums.pairs,
    'logps/rejected': sums.rejected / sums.pairs,
    mean_token_accuracy: correct / tokens,
  };
}

/** Throws unless the loss is one that can be computed, on labels that it takes. */
export function checkLoss(loss: DpoLossConfig, pairs: readonly PreferencePair[]): void {
  const { beta, loss_type, label_smoothing } = loss;
  if (!(beta > 0 && beta < Infinity)) throw new UserError(`training: expected beta above 0, got ${beta}`);
  if (!['sigmoid', 'ipo', 'hinge'].includes(loss_type)) {
    throw new UserError(`training: expected loss_type as sigmoid, ipo or hinge, got ${loss_type}`);
  }
  if (!(label_smoothing >= 0 && label_smoothing < 0.5)) {
    throw new UserError(`training: expected label_smoothing from 0 to below 0.5, got ${label_smoothing}`);
  }
  if (loss_type === 'sigmoid') return;
  const soft = pairs.findIndex(({ label = 1 }) => label !== 1);
  if (soft >= 0 || label_smoothing > 0) {
    throw new UserError(
      `training: loss_type ${loss_type} takes neither soft labels nor label_smoothing, got ` +
        `${soft >= 0 ? `a label of ${pairs[soft].label}` : `label_smoothing ${label_smoothing}`}; ` +
        'draw the labels (--labels drawn) or use sigmoid',
    );
  }
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

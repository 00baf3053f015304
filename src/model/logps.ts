import type { Tensor } from '../engine/engine.ts';
import { VIEW_ALIGNMENT } from '../engine/engine.ts';
import { computationBytes } from './dtype.ts';
import {
  type Completion,
  type CompletionBatch,
  completionBatch,
  completionLogps,
  tokenLogps,
} from './head.ts';
import { forward } from './llama.ts';
import { checkSequence, type Policy } from './policy.ts';

/** Which policy's log-probabilities to take, and how many tokens at a time. */
export interface LogpsOptions {
  /** False for the reference policy. True by default. */
  readonly adapter?: boolean;
  /** Divides the logits; 1 by default. */
  readonly temperature?: number;
  /** Most tokens of a batch, padding included; by default as many as there is memory for, and 2048 at most. */
  readonly batchTokens?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Keeps a wide layer's activations within the smallest storage binding that WebGPU promises, 128 MiB. */
export const DEFAULT_BATCH_TOKENS = 2048;
const LEAST_BATCH_TOKENS = 64;
/** Scratch of kernels in bytes, and what sizes of buffers are rounded up by. */
const SCRATCH = 2 ** 20;
const MARGIN = 9 / 8;

/**
 * Log-probability of each completion given its prompt, summed over the completion's tokens: `[number of completions]`.
 * Sequences of like length share a batch; a value does not depend on the others.
 */
export async function sequenceLogps(
  policy: Policy,
  completions: readonly Completion[],
  options: LogpsOptions = {},
): Promise<Float32Array> {
  const logps = new Float32Array(completions.length);
  const { engine } = policy;
  await inBatches(policy, completions, options, (indices) => indices.length, {
    record: (batch, hidden, out) => completionLogps(policy, batch, hidden, engine.view(out, 0, [batch.rows])),
    take: (indices, values) => {
      indices.forEach((index, row) => {
        logps[index] = values[row];
      });
    },
  });
  return logps;
}

/** Log-probability of each token of each completion, those of a completion together. */
export async function completionTokenLogps(
  policy: Policy,
  completions: readonly Completion[],
  options: LogpsOptions = {},
): Promise<Float32Array[]> {
  const logps = completions.map(() => new Float32Array());
  const lengthOf = (index: number) => completions[index].completionIds.length;
  const tokensOf = (indices: readonly number[]) => indices.reduce((sum, index) => sum + lengthOf(index), 0);
  const { engine } = policy;
  await inBatches(policy, completions, options, tokensOf, {
    record: (batch, hidden, out) =>
      engine.copy(engine.view(out, 0, [batch.count]), tokenLogps(policy, batch, hidden)),
    take: (indices, values) => {
      let start = 0;
      for (const index of indices) {
        logps[index] = values.slice(start, start + lengthOf(index));
        start += lengthOf(index);
      }
    },
  });
  return logps;
}

/** What to compute of a batch into `out`, and what to do with the values. */
interface BatchWork {
  record(batch: CompletionBatch, hidden: Tensor, out: Tensor): void;
  take(indices: readonly number[], values: Float32Array): void;
}

async function inBatches(
  policy: Policy,
  completions: readonly Completion[],
  { adapter: useAdapter = true, batchTokens = fittingTokens(policy), ...options }: LogpsOptions,
  sizeOf: (indices: readonly number[]) => number,
  { record, take }: BatchWork,
): Promise<void> {
  const { engine } = policy;
  const adapter = useAdapter ? policy.adapter : undefined;
  for (const { promptIds, completionIds } of completions)
    checkSequence(policy, promptIds, completionIds.length);
  // A completion without tokens has nothing to compute.
  const lengths = completions.map(({ promptIds, completionIds }) =>
    completionIds.length > 0 ? promptIds.length + completionIds.length : 0,
  );
  const batches = lengthBuckets(lengths, batchTokens);
  const widest = batches.reduce((width, batch) => Math.max(width, sizeOf(batch)), 0);
  const stride = Math.ceil(widest / VIEW_ALIGNMENT) * VIEW_ALIGNMENT;
  if (stride === 0) return;

  // One read for all batches: each would wait for the device.
  const results = engine.tensor([batches.length * stride]);
  let done = 0;
  for (const [i, indices] of batches.entries()) {
    options.signal?.throwIfAborted();
    const rows = indices.map((index) => completions[index]);
    const batch = completionBatch(policy, rows, { temperature: options.temperature });
    const hidden = forward(policy, batch, { adapter });
    record(batch, hidden, engine.view(results, i * stride, [stride]));
    engine.flush();
    done += indices.length;
    options.onProgress?.(done, completions.length);
  }
  const values = await engine.read(results);
  engine.free(results);
  batches.forEach((indices, i) => {
    take(indices, values.subarray(i * stride, (i + 1) * stride));
  });
}

/** Tokens of a batch that fit beside what the device holds; at least a few, of which a longer sequence takes more. */
export function fittingTokens({ engine, config, workspace }: Policy): number {
  const { total } = engine.limits;
  if (total === undefined) return DEFAULT_BATCH_TOKENS;
  const fits = (tokens: number) =>
    engine.memory().live + SCRATCH + MARGIN * computationBytes(config, tokens) <= total;
  // What other work left behind may be what is missing.
  if (!fits(DEFAULT_BATCH_TOKENS)) workspace.free();
  let tokens = DEFAULT_BATCH_TOKENS;
  while (tokens > LEAST_BATCH_TOKENS && !fits(tokens)) tokens /= 2;
  return tokens;
}

/** Indices of the lengths above 0, longest first, cut into batches of at most `batchTokens` tokens. */
export function lengthBuckets(lengths: readonly number[], batchTokens: number): number[][] {
  const order = lengths.map((_, index) => index).filter((index) => lengths[index] > 0);
  order.sort((a, b) => lengths[b] - lengths[a] || a - b);
  const batches: number[][] = [];
  for (const index of order) {
    const batch = batches.at(-1);
    if (batch && lengths[batch[0]] * (batch.length + 1) <= batchTokens) batch.push(index);
    else batches.push([index]);
  }
  return batches;
}

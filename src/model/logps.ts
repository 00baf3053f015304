import { VIEW_ALIGNMENT } from '../engine/engine.ts';
import { type Completion, completionBatch, completionLogps } from './head.ts';
import { forward } from './llama.ts';
import { checkSequence, type Policy } from './policy.ts';

export interface LogpsOptions {
  /** False for the reference policy. True by default. */
  readonly adapter?: boolean;
  /** Most tokens of a batch, padding included. */
  readonly batchTokens?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Keeps a wide layer's activations within the smallest storage binding that WebGPU promises, 128 MiB. */
const DEFAULT_BATCH_TOKENS = 2048;

/**
 * Log-probability of each completion given its prompt, summed over the completion's tokens: `[number of completions]`.
 * Sequences of like length share a batch; a value does not depend on the others.
 */
export async function sequenceLogps(
  policy: Policy,
  completions: readonly Completion[],
  options: LogpsOptions = {},
): Promise<Float32Array> {
  const { engine } = policy;
  const adapter = options.adapter === false ? undefined : policy.adapter;
  for (const { promptIds, completionIds } of completions)
    checkSequence(policy, promptIds, completionIds.length);
  const logps = new Float32Array(completions.length);
  const batches = lengthBuckets(completions, options.batchTokens ?? DEFAULT_BATCH_TOKENS);
  const widest = batches.reduce((width, batch) => Math.max(width, batch.length), 0);
  const stride = Math.ceil(widest / VIEW_ALIGNMENT) * VIEW_ALIGNMENT;
  if (stride === 0) return logps;

  // One read for all batches: each would wait for the device.
  const results = engine.tensor([batches.length * stride]);
  let done = 0;
  for (const [i, indices] of batches.entries()) {
    options.signal?.throwIfAborted();
    const batch = completionBatch(
      policy,
      indices.map((index) => completions[index]),
    );
    const hidden = forward(policy, batch, { adapter });
    completionLogps(policy, batch, hidden, engine.view(results, i * stride, [indices.length]));
    engine.flush();
    done += indices.length;
    options.onProgress?.(done, completions.length);
  }
  const values = await engine.read(results);
  engine.free(results);
  batches.forEach((indices, i) => {
    indices.forEach((index, row) => {
      logps[index] = values[i * stride + row];
    });
  });
  return logps;
}

/** Indices of the completions that have tokens, longest first, cut into batches of at most `batchTokens` tokens. */
function lengthBuckets(completions: readonly Completion[], batchTokens: number): number[][] {
  const lengthOf = (index: number) =>
    completions[index].promptIds.length + completions[index].completionIds.length;
  const order = completions
    .map((_, index) => index)
    .filter((index) => completions[index].completionIds.length > 0);
  order.sort((a, b) => lengthOf(b) - lengthOf(a) || a - b);
  const batches: number[][] = [];
  for (const index of order) {
    const batch = batches.at(-1);
    if (batch && lengthOf(batch[0]) * (batch.length + 1) <= batchTokens) batch.push(index);
    else batches.push([index]);
  }
  return batches;
}

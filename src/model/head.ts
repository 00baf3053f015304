import type { Tensor } from '../engine/engine.ts';
import { EntropySum } from './entropy.ts';
import { type Llama, type TokenBatch, tokenBatch } from './llama.ts';
import type { LlamaWeights } from './weights.ts';

/** A prompt and what follows it, in token ids. */
export interface Completion {
  readonly promptIds: readonly number[];
  readonly completionIds: readonly number[];
}

/**
 * A batch of completions, and which of its rows predict a completion token. `c` is their number, `tc` the longest
 * completion: their log-probs are laid out `[b, tc]` to be summed per sequence.
 */
export interface CompletionBatch extends TokenBatch {
  readonly count: number;
  readonly longest: number;
  /** u32 `[c]`: the row of the hidden states that predicts each completion token. */
  readonly predictors: Tensor;
  /** u32 `[c]`: the completion tokens. */
  readonly targets: Tensor;
  /** u32 `[c]`: the place of each token in `[b, tc]`. */
  readonly places: Tensor;
  /** u32 `[b·tc]`: the token at each place; 0 where there is none. */
  readonly tokenAt: Tensor;
  /** f32 `[b, tc]`: the weight of each token in its completion's sum, 0 where there is none. */
  readonly mask: Tensor;
  /** u32 `[n]`: the token that each row predicts; c where it predicts none. */
  readonly predicted: Tensor;
  /** The logits are divided by it: log-probabilities are those of sampling at this temperature. */
  readonly temperature: number;
}

export interface CompletionBatchOptions {
  /** The log-probability of a completion is the mean over its tokens in place of the sum. */
  readonly average?: boolean;
  /** 1 by default. */
  readonly temperature?: number;
}

/** How much of the logits `[c, vocab]` is there at a time. */
export interface HeadLimits {
  /** Columns of a part. Results depend on it by rounding, and so it does not depend on the batch. */
  readonly columns: number;
  /** Rows of a part where the logits do not fit; a multiple of `VIEW_ALIGNMENT`. */
  readonly rows: number;
}

/** 64 MiB of logits: enough to keep a device busy, few enough to fit beside any model. */
export const HEAD_LIMITS: HeadLimits = { columns: 8192, rows: 2048 };

/** Bytes of logits that the log-probabilities of `count` tokens take, and their gradient. */
export function logitsBytes(
  count: number,
  vocab: number,
  { columns, rows }: HeadLimits = HEAD_LIMITS,
): number {
  return 4 * Math.min(count * vocab, columns * rows);
}

export function completionBatch(
  model: Llama,
  completions: readonly Completion[],
  { average = false, temperature = 1 }: CompletionBatchOptions = {},
): CompletionBatch {
  const { workspace } = model;
  const batch = tokenBatch(
    model,
    completions.map(({ promptIds, completionIds }) => [...promptIds, ...completionIds]),
  );
  const count = completions.reduce((sum, { completionIds }) => sum + completionIds.length, 0);
  const longest = completions.reduce(
    (length, { completionIds }) => Math.max(length, completionIds.length),
    0,
  );
  const predictors = new Uint32Array(count);
  const targets = new Uint32Array(count);
  const places = new Uint32Array(count);
  const tokenAt = new Uint32Array(batch.rows * longest);
  const mask = new Float32Array(batch.rows * longest);
  const predicted = new Uint32Array(batch.rows * batch.length).fill(count);
  let token = 0;
  completions.forEach(({ promptIds, completionIds }, row) => {
    completionIds.forEach((target, i) => {
      const predictor = row * batch.length + promptIds.length - 1 + i;
      const place = row * longest + i;
      predictors[token] = predictor;
      predicted[predictor] = token;
      targets[token] = target;
      places[token] = place;
      tokenAt[place] = token;
      mask[place] = average ? 1 / completionIds.length : 1;
      token++;
    });
  });
  return {
    ...batch,
    count,
    longest,
    predictors: workspace.put('predictors', predictors),
    targets: workspace.put('targets', targets),
    places: workspace.put('places', places),
    tokenAt: workspace.put('tokenAt', tokenAt),
    mask: workspace.put('mask', mask, [batch.rows, longest]),
    predicted: workspace.put('predicted', predicted),
    temperature,
  };
}

/**
 * The log-probability `[c]` of each completion token, given hidden states `[n, hidden]` of the batch. With `hits` `[c]`,
 * writes there 1 for each that was the likeliest, else 0.
 */
export function tokenLogps(
  model: Llama,
  batch: CompletionBatch,
  hidden: Tensor,
  limits: HeadLimits = model.headLimits ?? HEAD_LIMITS,
  hits?: Tensor,
): Tensor {
  const { engine, workspace, config } = model;
  const tokens = workspace.take('tokenLogps', [batch.count]);
  const lse = workspace.take('tokenLse', [batch.count]);
  for (const part of parts(batch.count, config.vocabSize, limits)) {
    const logits = computeLogits(model, batch, hidden, part);
    const [tokensHere, lseHere, targets] = [tokens, lse, batch.targets].map((whole) =>
      rowsOf(model, part, whole),
    );
    const columns = { start: part.column, vocab: config.vocabSize };
    engine.tokenLogps(tokensHere, lseHere, logits, targets, columns);
    if (!hits) continue;
    const most = rowsOf(model, part, workspace.take('tokenMost', [batch.count]));
    engine.topTargets(rowsOf(model, part, hits), most, logits, targets, columns);
  }
  return tokens;
}

/**
 * logps `[b]` = the log-probability of each completion, given hidden states `[n, hidden]` of the batch: the sum over its
 * tokens, weighted by the batch's mask. With `correct` `[b]`, writes there the same sum of 1 for each token that was the
 * likeliest.
 */
export function completionLogps(
  model: Llama,
  batch: CompletionBatch,
  hidden: Tensor,
  logps: Tensor,
  limits: HeadLimits = model.headLimits ?? HEAD_LIMITS,
  correct?: Tensor,
): void {
  const { workspace } = model;
  tokenLogps(model, batch, hidden, limits, correct && workspace.take('tokenHits', [batch.count]));
  sumOverTokens(model, batch, 'tokenLogps', logps);
  if (correct) sumOverTokens(model, batch, 'tokenHits', correct);
}

/** sums `[b]` = what a buffer `[c]` of the workspace holds for each completion's tokens, weighted by the mask. */
function sumOverTokens(
  { engine, workspace }: Llama,
  batch: CompletionBatch,
  name: string,
  sums: Tensor,
): void {
  const laidOut = workspace.take('laidOut', [batch.rows * batch.longest, 1]);
  engine.gatherRows(laidOut, workspace.take(name, [batch.count, 1]), batch.tokenAt);
  engine.maskedSum(sums, workspace.take('laidOut', [batch.rows, batch.longest]), batch.mask);
}

/**
 * dhidden `[n, hidden]` from dlogps `[b]`, as `tokenLogpsBackward` gives it; `completionLogps` of the same batch and
 * limits must have come last.
 */
export function completionLogpsBackward(
  model: Llama,
  batch: CompletionBatch,
  hidden: Tensor,
  dlogps: Tensor,
  more: HeadBackward = {},
  limits: HeadLimits = model.headLimits ?? HEAD_LIMITS,
): Tensor {
  const { engine, workspace } = model;
  const { count, rows, longest } = batch;
  const dLaidOut = workspace.take('dLaidOut', [rows, longest]);
  engine.maskedSumBackward(dLaidOut, dlogps, batch.mask);
  engine.gatherRows(
    workspace.take('dTokenLogps', [count, 1]),
    workspace.take('dLaidOut', [rows * longest, 1]),
    batch.places,
  );
  return tokenLogpsBackward(model, batch, hidden, workspace.take('dTokenLogps', [count]), more, limits);
}

/**
 * dhidden `[n, hidden]` from dTokens `[c]`, the gradient of each completion token's log-probability; with `gradients`,
 * adds to that of the head; with `entropy` `[1]`, writes there the sum over the tokens of the entropy of what they were
 * predicted from. `tokenLogps` of the same batch and limits must have come last. Logits that were not kept are computed
 * again.
 */
export function tokenLogpsBackward(
  model: Llama,
  batch: CompletionBatch,
  hidden: Tensor,
  dTokens: Tensor,
  { gradients, entropy }: HeadBackward = {},
  limits: HeadLimits = model.headLimits ?? HEAD_LIMITS,
): Tensor {
  const { engine, workspace, config } = model;
  const { count, rows, length } = batch;
  const scale = 1 / batch.temperature;
  // One row more than there are tokens stays zero: the gradient of rows that predict none.
  const dPredictors = workspace.take('dPredictors', [count + 1, config.hiddenSize]);
  engine.zero(dPredictors);
  const lse = workspace.take('tokenLse', [count]);
  const sum = entropy && new EntropySum(model, batch, limits);
  for (const part of parts(count, config.vocabSize, limits)) {
    const logits = part.kept ? logitsOf(model, part) : computeLogits(model, batch, hidden, part);
    const [dTokensHere, lseHere, targets] = [dTokens, lse, batch.targets].map((whole) =>
      rowsOf(model, part, whole),
    );
    const columns = { start: part.column, vocab: config.vocabSize };
    sum?.add(part, logits, lseHere, targets);
    engine.tokenLogpsBackward(logits, dTokensHere, lseHere, targets, columns);
    const dRows = engine.view(dPredictors, part.row * config.hiddenSize, [part.rows, config.hiddenSize]);
    engine.matmul(dRows, logits, headOf(model, part), { scale, accumulate: part.column > 0 });
    if (gradients) {
      const selected = workspace.take('selected', [part.rows, config.hiddenSize]);
      const dhead = headOf(model, part, gradients);
      engine.matmul(dhead, logits, selected, { transposeA: true, scale, accumulate: true });
    }
  }
  if (entropy) sum!.write(entropy);
  const dhidden = workspace.take('dhidden', [rows * length, config.hiddenSize]);
  engine.gatherRows(dhidden, dPredictors, batch.predicted);
  return dhidden;
}

/** What the backward pass of the head gives besides the gradient of its input. */
export interface HeadBackward {
  /** Of the weights. */
  readonly gradients?: LlamaWeights;
  readonly entropy?: Tensor;
}

/** A part of the logits `[c, vocab]`: `[rows, columns]` from `row` and `column` on. */
export interface Part {
  readonly row: number;
  readonly rows: number;
  readonly column: number;
  readonly columns: number;
  /** Whether every part has memory of its own, so that its logits are still there in the backward pass. */
  readonly kept: boolean;
}

function parts(count: number, vocab: number, limits: HeadLimits): Part[] {
  const kept = count * vocab <= limits.columns * limits.rows;
  const all: Part[] = [];
  const rowSize = kept ? count : limits.rows;
  for (let row = 0; row < count; row += rowSize) {
    const rows = Math.min(rowSize, count - row);
    for (let column = 0; column < vocab; column += limits.columns) {
      all.push({ row, rows, column, columns: Math.min(limits.columns, vocab - column), kept });
    }
  }
  return all;
}

/** The part's rows of a tensor `[c]`. */
function rowsOf({ engine }: Llama, part: Part, whole: Tensor): Tensor {
  return engine.view(whole, part.row, [part.rows]);
}

/** The part's rows of the head's weight `[vocab, hidden]`, or of its gradient. */
function headOf({ engine, config, weights }: Llama, part: Part, { head } = weights): Tensor {
  return engine.view(head, part.column * config.hiddenSize, [part.columns, config.hiddenSize]);
}

function logitsOf({ engine, workspace, config }: Llama, part: Part): Tensor {
  const size = part.kept ? part.rows * config.vocabSize : part.rows * part.columns;
  const start = part.kept ? part.rows * part.column : 0;
  return engine.view(workspace.take('logits', [size]), start, [part.rows, part.columns]);
}

function computeLogits(model: Llama, batch: CompletionBatch, hidden: Tensor, part: Part): Tensor {
  const { engine, workspace, config } = model;
  const selected = workspace.take('selected', [part.rows, config.hiddenSize]);
  if (part.column === 0) engine.gatherRows(selected, hidden, rowsOf(model, part, batch.predictors));
  const logits = logitsOf(model, part);
  engine.matmul(logits, selected, headOf(model, part), { transposeB: true, scale: 1 / batch.temperature });
  return logits;
}

import type { Engine, Tensor } from '../engine/engine.ts';
import { type Llama, type TokenBatch, tokenBatch } from './llama.ts';

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
  /** f32 `[b, tc]`: 1 where there is a token. */
  readonly mask: Tensor;
  /** u32 `[n]`: the token that each row predicts; c where it predicts none. */
  readonly predicted: Tensor;
}

/** Rows of logits held at once: enough to keep a device busy, few enough that a large vocabulary fits. */
const LOGITS_BUDGET_BYTES = 64 * 1024 * 1024;
const CHUNK_ALIGNMENT = 64;

export function completionBatch(model: Llama, completions: readonly Completion[]): CompletionBatch {
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
      mask[place] = 1;
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
  };
}

/** logps `[b]` = the log-probability of each completion, given hidden states `[n, hidden]` of the batch. */
export function completionLogps(model: Llama, batch: CompletionBatch, hidden: Tensor, logps: Tensor): void {
  const { engine, workspace } = model;
  const tokens = workspace.take('tokenLogps', [batch.count]);
  const lse = workspace.take('tokenLse', [batch.count]);
  for (const chunk of chunks(model, batch)) {
    const logits = chunkLogits(model, batch, hidden, chunk);
    engine.tokenLogps(
      chunk.of(engine, tokens),
      chunk.of(engine, lse),
      logits,
      chunk.of(engine, batch.targets),
    );
  }
  const laidOut = workspace.take('laidOut', [batch.rows * batch.longest, 1]);
  engine.gatherRows(laidOut, workspace.take('tokenLogps', [batch.count, 1]), batch.tokenAt);
  engine.maskedSum(logps, workspace.take('laidOut', [batch.rows, batch.longest]), batch.mask);
}

/**
 * dhidden `[n, hidden]` from dlogps `[b]`; `completionLogps` of the same batch must have come last. The logits of a
 * chunk are computed again unless there is only one, so that their memory stays bounded.
 */
export function completionLogpsBackward(
  model: Llama,
  batch: CompletionBatch,
  hidden: Tensor,
  dlogps: Tensor,
): Tensor {
  const { engine, workspace, config, weights } = model;
  const { count, rows, longest, length } = batch;
  const dLaidOut = workspace.take('dLaidOut', [rows, longest]);
  engine.maskedSumBackward(dLaidOut, dlogps, batch.mask);
  const dTokens = workspace.take('dTokenLogps', [count]);
  engine.gatherRows(
    workspace.take('dTokenLogps', [count, 1]),
    workspace.take('dLaidOut', [rows * longest, 1]),
    batch.places,
  );
  // One row more than there are tokens stays zero: the gradient of rows that predict none.
  const dPredictors = workspace.take('dPredictors', [count + 1, config.hiddenSize]);
  engine.zero(dPredictors);
  const lse = workspace.take('tokenLse', [count]);
  const parts = chunks(model, batch);
  for (const chunk of parts) {
    const shape = [chunk.rows, config.vocabSize];
    const logits =
      parts.length > 1 ? chunkLogits(model, batch, hidden, chunk) : workspace.take('logits', shape);
    const dlogits = workspace.take('dlogits', shape);
    const targets = chunk.of(engine, batch.targets);
    engine.tokenLogpsBackward(dlogits, chunk.of(engine, dTokens), logits, chunk.of(engine, lse), targets);
    const dRows = engine.view(dPredictors, chunk.start * config.hiddenSize, [chunk.rows, config.hiddenSize]);
    engine.matmul(dRows, dlogits, weights.head);
  }
  const dhidden = workspace.take('dhidden', [rows * length, config.hiddenSize]);
  engine.gatherRows(dhidden, dPredictors, batch.predicted);
  return dhidden;
}

interface Chunk {
  readonly start: number;
  readonly rows: number;
  /** The chunk's part of a tensor `[c]`. */
  of(engine: Engine, tensor: Tensor): Tensor;
}

function chunks({ config }: Llama, { count }: CompletionBatch): Chunk[] {
  const affordable =
    Math.floor(LOGITS_BUDGET_BYTES / 4 / config.vocabSize / CHUNK_ALIGNMENT) * CHUNK_ALIGNMENT;
  const size = Math.max(CHUNK_ALIGNMENT, affordable);
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => {
    const start = i * size;
    const rows = Math.min(size, count - start);
    return { start, rows, of: (engine, tensor) => engine.view(tensor, start, [rows]) };
  });
}

function chunkLogits(model: Llama, batch: CompletionBatch, hidden: Tensor, chunk: Chunk): Tensor {
  const { engine, workspace, config, weights } = model;
  const selected = workspace.take('selected', [chunk.rows, config.hiddenSize]);
  engine.gatherRows(selected, hidden, chunk.of(engine, batch.predictors));
  const logits = workspace.take('logits', [chunk.rows, config.vocabSize]);
  engine.matmul(logits, selected, weights.head, { transposeB: true });
  return logits;
}

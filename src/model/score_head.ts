/** The head of a reward model: a text's score is `score.weight` `[1, hidden]` times the last hidden state of its tokens. */
import type { Engine, Tensor } from '../engine/engine.ts';
import { VIEW_ALIGNMENT } from '../engine/engine.ts';
import { forward, type TokenBatch, type TrainPass, tokenBatch } from './llama.ts';
import { fittingTokens, lengthBuckets } from './logps.ts';
import type { RewardModel } from './reward_model.ts';

/** A batch of texts, and where each ends. */
export interface ScoreBatch extends TokenBatch {
  /** u32 `[b]`: the row of the hidden states at each text's last token. */
  readonly last: Tensor;
  /** u32 `[n]`: the text that ends at each row; b where none does. */
  readonly ends: Tensor;
}

export function scoreBatch(model: RewardModel, texts: readonly (readonly number[])[]): ScoreBatch {
  const { workspace } = model;
  const batch = tokenBatch(model, texts);
  const last = Uint32Array.from(texts, (ids, row) => row * batch.length + ids.length - 1);
  const ends = new Uint32Array(batch.rows * batch.length).fill(batch.rows);
  last.forEach((place, row) => {
    ends[place] = row;
  });
  return { ...batch, last: workspace.put('scoredRows', last), ends: workspace.put('scoredEnds', ends) };
}

/** scores `[b, 1]` of a batch, given its hidden states `[n, hidden]`. */
export function scoresForward(model: RewardModel, batch: ScoreBatch, hidden: Tensor, scores: Tensor): void {
  const { engine, workspace, weights, config } = model;
  const last = workspace.take('scored', [batch.rows, config.hiddenSize]);
  engine.gatherRows(last, hidden, batch.last);
  engine.matmul(scores, last, weights.score, { transposeB: true });
}

/** dhidden `[n, hidden]` from dscores `[b, 1]`; adds to the head's gradient. `scoresForward` of the batch came last. */
export function scoresBackward(
  model: RewardModel,
  batch: ScoreBatch,
  dscores: Tensor,
  { gradients, scoreGradient = gradients?.score }: TrainPass,
): Tensor {
  const { engine, workspace, weights, config } = model;
  const { rows, length } = batch;
  const { hiddenSize } = config;
  if (scoreGradient) {
    const last = workspace.take('scored', [rows, hiddenSize]);
    engine.matmul(scoreGradient, dscores, last, { transposeA: true, accumulate: true });
  }
  // One row more than there are texts stays zero: the gradient of rows at which none ends.
  const dlast = workspace.take('dscored', [rows + 1, hiddenSize]);
  engine.zero(dlast);
  engine.matmul(engine.view(dlast, 0, [rows, hiddenSize]), dscores, weights.score);
  const dhidden = workspace.take('dhidden', [rows * length, hiddenSize]);
  engine.gatherRows(dhidden, dlast, batch.ends);
  return dhidden;
}

/** The score of each text, in order. Texts of like length share a batch; a score does not depend on the others. */
export async function sequenceScores(
  model: RewardModel,
  texts: readonly (readonly number[])[],
  onProgress?: (done: number, total: number) => void,
): Promise<Float64Array> {
  const { engine } = model;
  const scores = new Float64Array(texts.length);
  const batches = lengthBuckets(
    texts.map(({ length }) => length),
    fittingTokens(model),
  );
  if (batches.length === 0) return scores;
  const values = await readScores(engine, batches, (indices, out) => {
    const batch = scoreBatch(
      model,
      indices.map((index) => texts[index]),
    );
    scoresForward(model, batch, forward(model, batch, { adapter: model.adapter }), out);
    engine.flush();
    onProgress?.(batches.flat().indexOf(indices.at(-1)!) + 1, texts.length);
  });
  batches.flat().forEach((index, i) => {
    scores[index] = values[i];
  });
  return scores;
}

/** What `compute` writes for each batch, one after the other; one read for all: each would wait for the device. */
async function readScores(
  engine: Engine,
  batches: readonly (readonly number[])[],
  compute: (indices: readonly number[], out: Tensor) => void,
): Promise<number[]> {
  const widest = Math.max(...batches.map(({ length }) => length));
  const stride = Math.ceil(widest / VIEW_ALIGNMENT) * VIEW_ALIGNMENT;
  const results = engine.tensor([batches.length * stride]);
  batches.forEach((indices, i) => {
    compute(indices, engine.view(results, i * stride, [indices.length, 1]));
  });
  const values = await engine.read(results);
  engine.free(results);
  return batches.flatMap(({ length }, i) => [...values.subarray(i * stride, i * stride + length)]);
}

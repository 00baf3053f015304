import { type Tensor, VIEW_ALIGNMENT } from '../engine/engine.ts';
import type { CompletionBatch, HeadLimits, Part } from './head.ts';
import type { Llama } from './llama.ts';

/**
 * Σ over tokens of the entropy −Σ p log p = −log p(target) − Σ (p − [target]) · logit, part by part of the logits. What is
 * summed up is laid out as log p(target) `[c]`, then `[c]` of each part of the columns: no bit depends on the rows of a part.
 */
export class EntropySum {
  #model: Llama;
  #limits: HeadLimits;
  #stride: number;
  #sums: Tensor;
  #weights: Float32Array;

  constructor(model: Llama, { count }: CompletionBatch, limits: HeadLimits) {
    const { engine, workspace, config } = model;
    const terms = 1 + Math.ceil(config.vocabSize / limits.columns);
    this.#model = model;
    this.#limits = limits;
    this.#stride = Math.ceil(count / VIEW_ALIGNMENT) * VIEW_ALIGNMENT;
    this.#weights = new Float32Array(terms * this.#stride);
    for (let term = 0; term < terms; term++) {
      this.#weights.fill(-1, term * this.#stride, term * this.#stride + count);
    }
    this.#sums = workspace.take('entropySums', [this.#weights.length]);
    engine.zero(this.#sums);
    engine.copy(engine.view(this.#sums, 0, [count]), workspace.take('tokenLogps', [count]));
  }

  /** Takes logits of a part, which it leaves as they are. */
  add({ row, rows, column, columns }: Part, logits: Tensor, lse: Tensor, targets: Tensor): void {
    const { engine, workspace, config } = this.#model;
    const away = workspace.take('probabilities', [rows, columns]);
    engine.copy(away, logits);
    const minus = workspace.put('minusOnes', new Float32Array(rows).fill(-1));
    engine.tokenLogpsBackward(away, minus, lse, targets, { start: column, vocab: config.vocabSize });
    const term = 1 + column / this.#limits.columns;
    engine.maskedSum(engine.view(this.#sums, term * this.#stride + row, [rows]), away, logits);
  }

  write(entropy: Tensor): void {
    const { engine, workspace } = this.#model;
    const size = this.#weights.length;
    const weights = workspace.put('entropyWeights', this.#weights, [1, size]);
    engine.maskedSum(entropy, engine.view(this.#sums, 0, [1, size]), weights);
  }
}

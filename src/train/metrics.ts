import type { Engine, Tensor } from '../engine/engine.ts';
import { VIEW_ALIGNMENT } from '../engine/engine.ts';
import { UserError } from '../errors.ts';
import type { ReferenceLogps } from './dpo.ts';

/** One optimisation step, in TRL's names. Values are means over the step's pairs; log-probs are sums over tokens. */
export interface TrainMetrics {
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  /** Before clipping. */
  readonly grad_norm: number;
  /** The rate this step used. */
  readonly learning_rate: number;
  readonly 'rewards/chosen': number;
  readonly 'rewards/rejected': number;
  readonly 'rewards/margins': number;
  readonly 'rewards/accuracies': number;
  readonly 'logps/chosen': number;
  readonly 'logps/rejected': number;
}

/** What is known of a step when it is recorded; the rest is still on the device. */
export interface RecordedStep {
  readonly step: number;
  readonly epoch: number;
  readonly learningRate: number;
  /** The reference log-probs of each micro-batch's pairs. */
  readonly microBatches: readonly ReferenceLogps[];
}

/**
 * Losses, log-probs and gradient norms of several steps, kept on the device until they are read together: a read
 * waits for all work before it.
 */
export class StepRecorder {
  #engine: Engine;
  #beta: number;
  #capacity: number;
  #pairs: number;
  #stride: number;
  #buffer: Tensor;
  #steps: RecordedStep[] = [];

  /** Room for `capacity` steps of at most `microBatches` micro-batches of at most `pairs` pairs. */
  constructor(engine: Engine, beta: number, capacity: number, microBatches: number, pairs: number) {
    this.#engine = engine;
    this.#beta = beta;
    this.#capacity = capacity;
    this.#pairs = pairs;
    this.#stride = VIEW_ALIGNMENT + microBatches * this.#microStride;
    this.#buffer = engine.tensor([capacity * this.#stride]);
  }

  get full(): boolean {
    return this.#steps.length === this.#capacity;
  }

  /** Where the step now recorded puts Σ grad². */
  gradSquares(): Tensor {
    return this.#engine.view(this.#buffer, this.#steps.length * this.#stride, [1]);
  }

  /** Where micro-batch `index` of the step now recorded puts losses `[p]` and logps `[2p]`. */
  microBatch(index: number, p: number): { losses: Tensor; logps: Tensor } {
    const start = this.#microStart(this.#steps.length, index);
    return {
      losses: this.#engine.view(this.#buffer, start, [p]),
      logps: this.#engine.view(this.#buffer, start + align(this.#pairs), [2 * p]),
    };
  }

  /** Closes a step. */
  record(step: RecordedStep): void {
    this.#steps.push(step);
  }

  /** The metrics of all steps since the last call. */
  async read(): Promise<TrainMetrics[]> {
    if (this.#steps.length === 0) return [];
    const values = await this.#engine.read(this.#buffer);
    const metrics = this.#steps.map((step, slot) => this.#summarize(step, slot, values));
    this.#steps = [];
    return metrics;
  }

  free(): void {
    this.#engine.free(this.#buffer);
  }

  get #microStride(): number {
    return align(this.#pairs) + align(2 * this.#pairs);
  }

  #microStart(slot: number, index: number): number {
    return slot * this.#stride + VIEW_ALIGNMENT + index * this.#microStride;
  }

  #summarize(
    { step, epoch, learningRate, microBatches }: RecordedStep,
    slot: number,
    values: Float32Array,
  ): TrainMetrics {
    const sums = { pairs: 0, loss: 0, chosen: 0, rejected: 0, rewardChosen: 0, rewardRejected: 0, right: 0 };
    microBatches.forEach((reference, index) => {
      const p = reference.chosen.length;
      const start = this.#microStart(slot, index);
      const logps = start + align(this.#pairs);
      for (let i = 0; i < p; i++) {
        const chosen = values[logps + i];
        const rejected = values[logps + p + i];
        const rewardChosen = this.#beta * (chosen - reference.chosen[i]);
        const rewardRejected = this.#beta * (rejected - reference.rejected[i]);
        sums.loss += values[start + i];
        sums.chosen += chosen;
        sums.rejected += rejected;
        sums.rewardChosen += rewardChosen;
        sums.rewardRejected += rewardRejected;
        sums.right += rewardChosen > rewardRejected ? 1 : 0;
      }
      sums.pairs += p;
    });
    const metrics: TrainMetrics = {
      step,
      epoch,
      loss: sums.loss / sums.pairs,
      grad_norm: Math.sqrt(values[slot * this.#stride]),
      learning_rate: learningRate,
      'rewards/chosen': sums.rewardChosen / sums.pairs,
      'rewards/rejected': sums.rewardRejected / sums.pairs,
      'rewards/margins': (sums.rewardChosen - sums.rewardRejected) / sums.pairs,
      'rewards/accuracies': sums.right / sums.pairs,
      'logps/chosen': sums.chosen / sums.pairs,
      'logps/rejected': sums.rejected / sums.pairs,
    };
    if (!Number.isFinite(metrics.loss) || !Number.isFinite(metrics.grad_norm)) {
      throw new UserError(
        `training: step ${step}: expected a finite loss and gradient, got ${metrics.loss} and ${metrics.grad_norm}; ` +
          'lower the learning rate',
      );
    }
    return metrics;
  }
}

function align(size: number): number {
  return Math.ceil(size / VIEW_ALIGNMENT) * VIEW_ALIGNMENT;
}

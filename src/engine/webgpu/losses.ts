import { DPO_LOSSES, type Engine } from '../engine.ts';
import { PIECE_SPAN } from '../pieces.ts';
import { operands } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { GpuTensor, piecesOf, viewOf } from './memory.ts';
import { perElement, type Recorder } from './recorder.ts';

type LossOperations = Pick<
  Engine,
  | 'tokenLogps'
  | 'tokenLogpsBackward'
  | 'topTargets'
  | 'maskedSum'
  | 'maskedSumBackward'
  | 'dpo'
  | 'policyGradient'
  | 'sumSquares'
  | 'adamw'
>;

/** Elements that one row of a sum adds up; the partial sums are added up the same way. */
const SUM_SPAN = PIECE_SPAN;

export function lossOperations(recorder: Recorder, kernels: Kernels): LossOperations {
  return {
    tokenLogps(...given) {
      const { logps, lse, logits, targets, n, ...columns } = operands.tokenLogps(...given);
      const tensors = [logps, lse, logits, targets];
      const groups = Math.ceil(n / kernels.rowsPerGroup);
      if (columns.start > 0) for (const state of [logps, lse]) recorder.settle(state);
      recorder.dispatch(kernels.get('token_logps'), tensors, { n, ...columns }, groups);
    },
    tokenLogpsBackward(...given) {
      const { logits, dlogps, lse, targets, n, ...columns } = operands.tokenLogpsBackward(...given);
      recorder.settle(logits);
      const tensors = [logits, dlogps, lse, targets];
      const groups = perElement(n * columns.width);
      recorder.dispatch(kernels.get('token_logps_backward'), tensors, { n, ...columns }, groups);
    },
    topTargets(...given) {
      const { hits, most, logits, targets, n, ...columns } = operands.topTargets(...given);
      const groups = Math.ceil(n / kernels.rowsPerGroup);
      for (const state of [hits, most]) recorder.settle(state);
      recorder.dispatch(kernels.get('top_targets'), [hits, most, logits, targets], { n, ...columns }, groups);
    },
    maskedSum(...given) {
      const { out, x, mask, b, t } = operands.maskedSum(...given);
      recorder.dispatch(kernels.get('masked_sum'), [out, x, mask], { b, t }, perElement(b));
    },
    maskedSumBackward(...given) {
      const { dinp, dout, mask, b, t } = operands.maskedSumBackward(...given);
      recorder.dispatch(kernels.get('masked_sum_backward'), [dinp, dout, mask], { b, t }, perElement(b * t));
    },
    dpo(...given) {
      const { loss, beta, scale } = given[5];
      const { losses, dlogps, logps, refLogps, labels, p } = operands.dpo(...given);
      const tensors = [losses, dlogps, logps, refLogps, labels];
      recorder.dispatch(
        kernels.get('dpo'),
        tensors,
        { p, loss: DPO_LOSSES[loss], beta, scale },
        perElement(p),
      );
    },
    policyGradient(...given) {
      const { epsilonLow, epsilonHigh, beta, weighKl } = given[7];
      const { tensors, n } = operands.policyGradient(...given);
      const params = { n, lowest: 1 - epsilonLow, highest: 1 + epsilonHigh, beta, weigh_kl: Number(weighKl) };
      recorder.dispatch(kernels.get('policy_gradient'), tensors, params, perElement(n));
    },
    sumSquares(...given) {
      const { out: target, x } = operands.sumSquares(...given);
      if (x.length === 0) {
        recorder.clear(target.storage, target.offset * 4, 4);
        return;
      }
      const add = (out: GpuTensor, source: GpuTensor, squared: number) => {
        const params = { n: source.length, span: SUM_SPAN, squared };
        const groups = Math.ceil(out.length / kernels.rowsPerGroup);
        recorder.dispatch(kernels.get('sum_squares'), [out, source], params, groups);
      };
      const partsOf = (length: number) => {
        const count = Math.ceil(length / SUM_SPAN);
        return new GpuTensor([count], 'f32', recorder.pool.acquire(count * 4), 0, count, false);
      };
      /** The sums of all spans, which no piece cuts. */
      const joined = () => {
        const sums = partsOf(x.length);
        for (const { tensor, start } of piecesOf(x)) {
          const own = partsOf(tensor.length);
          add(own, tensor, 1);
          recorder.copy(viewOf(sums, start / SUM_SPAN, [own.length]), own);
          recorder.pool.release(own.storage);
        }
        return sums;
      };
      let [source, squared] = x.pieces.length > 0 ? [joined(), 0] : [x, 1];
      while (source.length > SUM_SPAN) {
        const sums = partsOf(source.length);
        add(sums, source, squared);
        if (source !== x) recorder.pool.release(source.storage);
        [source, squared] = [sums, 0];
      }
      add(target, source, squared);
      if (source !== x) recorder.pool.release(source.storage);
    },
    adamw(...given) {
      const options = given[5];
      const { param, m, v, grad, gradSquares } = operands.adamw(...given);
      const params = {
        learning_rate: options.learningRate,
        beta1: options.beta1,
        beta2: options.beta2,
        epsilon: options.epsilon,
        weight_decay: options.weightDecay,
        correction1: options.biasCorrection1,
        correction2_root: Math.sqrt(options.biasCorrection2),
        // Infinity may not survive a driver's arithmetic.
        max_norm: Number.isFinite(options.maxGradNorm) ? options.maxGradNorm : -1,
      };
      const parts = [param, m, v, grad].map(piecesOf);
      for (const [i, { tensor }] of parts[0].entries()) {
        const pieces = parts.map((each) => each[i].tensor);
        for (const state of pieces.slice(0, 3)) recorder.settle(state);
        const tensors = [...pieces, gradSquares];
        const { length: n } = tensor;
        recorder.dispatch(kernels.get('adamw'), tensors, { ...params, n }, perElement(n));
      }
    },
  };
}

import { DPO_LOSSES, type Engine } from '../engine.ts';
import { operands } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { GpuTensor } from './memory.ts';
import { perElement, type Recorder } from './recorder.ts';

type LossOperations = Pick<
  Engine,
  | 'tokenLogps'
  | 'tokenLogpsBackward'
  | 'maskedSum'
  | 'maskedSumBackward'
  | 'dpo'
  | 'policyGradient'
  | 'sumSquares'
  | 'adamw'
>;

/** Elements that one row of a sum adds up; the partial sums are added up the same way. */
const SUM_SPAN = 1024;

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
      let source = x;
      if (source.length === 0) {
        recorder.clear(target.storage, target.offset * 4, 4);
        return;
      }
      const kernel = kernels.get('sum_squares');
      for (let squared = 1; ; squared = 0) {
        const n = source.length;
        const count = Math.ceil(n / SUM_SPAN);
        const params = { n, span: SUM_SPAN, squared };
        const groups = Math.ceil(count / kernels.rowsPerGroup);
        const partial =
          count === 1
            ? target
            : new GpuTensor([count], 'f32', recorder.pool.acquire(count * 4), 0, count, false);
        recorder.dispatch(kernel, [partial, source], params, groups);
        if (!squared) recorder.pool.release(source.storage);
        if (partial === target) return;
        source = partial;
      }
    },
    adamw(...given) {
      const options = given[5];
      const { param, m, v, grad, gradSquares, n } = operands.adamw(...given);
      for (const state of [param, m, v]) recorder.settle(state);
      const params = {
        n,
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
      recorder.dispatch(kernels.get('adamw'), [param, m, v, grad, gradSquares], params, perElement(n));
    },
  };
}

import type { Engine } from '../engine.ts';
import { expectF32, expectRank, expectShape } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { GpuTensor } from './memory.ts';
import { perElement, type Recorder } from './recorder.ts';

type LossOperations = Pick<
  Engine,
  'tokenLogps' | 'tokenLogpsBackward' | 'maskedSum' | 'maskedSumBackward' | 'dpo' | 'sumSquares' | 'adamw'
>;

/** Elements that one row of a sum adds up; the partial sums are added up the same way. */
const SUM_SPAN = 1024;

export function lossOperations(recorder: Recorder, kernels: Kernels): LossOperations {
  return {
    tokenLogps(logps, lse, logits, targets) {
      const scores = expectRank('tokenLogps', 'logits', logits, ['n', 'vocab']);
      const [n, vocab] = scores.shape;
      const tensors = [
        expectShape('tokenLogps', 'logps', logps, [n]),
        expectShape('tokenLogps', 'lse', lse, [n]),
        scores,
        expectShape('tokenLogps', 'targets', targets, [n], 'u32'),
      ];
      const groups = Math.ceil(n / kernels.rowsPerGroup);
      recorder.dispatch(kernels.get('token_logps'), tensors, { n, vocab }, groups);
    },
    tokenLogpsBackward(dlogits, dlogps, logits, lse, targets) {
      const scores = expectRank('tokenLogpsBackward', 'logits', logits, ['n', 'vocab']);
      const [n, vocab] = scores.shape;
      const tensors = [
        expectShape('tokenLogpsBackward', 'dlogits', dlogits, [n, vocab]),
        expectShape('tokenLogpsBackward', 'dlogps', dlogps, [n]),
        scores,
        expectShape('tokenLogpsBackward', 'lse', lse, [n]),
        expectShape('tokenLogpsBackward', 'targets', targets, [n], 'u32'),
      ];
      recorder.dispatch(kernels.get('token_logps_backward'), tensors, { n, vocab }, perElement(n * vocab));
    },
    maskedSum(out, x, mask) {
      const source = expectRank('maskedSum', 'x', x, ['b', 't']);
      const [b, t] = source.shape;
      const target = expectShape('maskedSum', 'out', out, [b]);
      const weights = expectShape('maskedSum', 'mask', mask, [b, t]);
      recorder.dispatch(kernels.get('masked_sum'), [target, source, weights], { b, t }, perElement(b));
    },
    maskedSumBackward(dinp, dout, mask) {
      const weights = expectRank('maskedSumBackward', 'mask', mask, ['b', 't']);
      const [b, t] = weights.shape;
      const target = expectShape('maskedSumBackward', 'dinp', dinp, [b, t]);
      const gradient = expectShape('maskedSumBackward', 'dout', dout, [b]);
      const tensors = [target, gradient, weights];
      recorder.dispatch(kernels.get('masked_sum_backward'), tensors, { b, t }, perElement(b * t));
    },
    dpo(losses, dlogps, logps, refLogps, labels, beta, scale) {
      const soft = expectRank('dpo', 'labels', labels, ['p']);
      const p = soft.shape[0];
      const tensors = [
        expectShape('dpo', 'losses', losses, [p]),
        expectShape('dpo', 'dlogps', dlogps, [2 * p]),
        expectShape('dpo', 'logps', logps, [2 * p]),
        expectShape('dpo', 'refLogps', refLogps, [2 * p]),
        soft,
      ];
      recorder.dispatch(kernels.get('dpo'), tensors, { p, beta, scale }, perElement(p));
    },
    sumSquares(out, x) {
      const target = expectShape('sumSquares', 'out', out, [1]);
      let source = expectF32('sumSquares', 'x', x);
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
    adamw(param, grad, m, v, gradSquares, options) {
      const target = expectF32('adamw', 'param', param);
      const { shape, length: n } = target;
      const tensors = [
        target,
        expectShape('adamw', 'm', m, shape),
        expectShape('adamw', 'v', v, shape),
        expectShape('adamw', 'grad', grad, shape),
        expectShape('adamw', 'gradSquares', gradSquares, [1]),
      ];
      for (const state of tensors.slice(0, 3)) recorder.settle(state);
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
      recorder.dispatch(kernels.get('adamw'), tensors, params, perElement(n));
    },
  };
}

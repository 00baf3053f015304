import type { Checks, OwnTensor } from '../checks.ts';
import type { Tensor, VocabColumns } from '../engine.ts';
import type { Given } from './given.ts';

/** `width` columns from `start` on, of `vocab`; all there are by default. */
function columnsOf(
  operation: string,
  width: number,
  { start, vocab }: VocabColumns = { start: 0, vocab: width },
) {
  if (!(start >= 0 && start + width <= vocab)) {
    throw new Error(`${operation}: expected columns within ${vocab}, got ${start} … ${start + width - 1}`);
  }
  return { width, start, vocab };
}

/** Of log-probabilities, losses and the optimizer. */
export function lossOperands<T extends OwnTensor>(checks: Checks<T>) {
  const { expectShape, expectRank, expectF32 } = checks;

  return {
    tokenLogps(...[logps, lse, logits, targets, columns]: Given<'tokenLogps'>) {
      const scores = expectRank('tokenLogps', 'logits', logits, ['n', 'columns']);
      const n = scores.shape[0];
      return {
        logps: expectShape('tokenLogps', 'logps', logps, [n]),
        lse: expectShape('tokenLogps', 'lse', lse, [n]),
        logits: scores,
        targets: expectShape('tokenLogps', 'targets', targets, [n], 'u32'),
        n,
        ...columnsOf('tokenLogps', scores.shape[1], columns),
      };
    },
    tokenLogpsBackward(...[logits, dlogps, lse, targets, columns]: Given<'tokenLogpsBackward'>) {
      const operation = 'tokenLogpsBackward';
      const scores = expectRank(operation, 'logits', logits, ['n', 'columns']);
      const n = scores.shape[0];
      return {
        logits: scores,
        dlogps: expectShape(operation, 'dlogps', dlogps, [n]),
        lse: expectShape(operation, 'lse', lse, [n]),
        targets: expectShape(operation, 'targets', targets, [n], 'u32'),
        n,
        ...columnsOf(operation, scores.shape[1], columns),
      };
    },
    topTargets(...[hits, most, logits, targets, columns]: Given<'topTargets'>) {
      const scores = expectRank('topTargets', 'logits', logits, ['n', 'columns']);
      const n = scores.shape[0];
      return {
        hits: expectShape('topTargets', 'hits', hits, [n]),
        most: expectShape('topTargets', 'most', most, [n]),
        logits: scores,
        targets: expectShape('topTargets', 'targets', targets, [n], 'u32'),
        n,
        ...columnsOf('topTargets', scores.shape[1], columns),
      };
    },
    maskedSum(out: Tensor, x: Tensor, mask: Tensor) {
      const source = expectRank('maskedSum', 'x', x, ['b', 't']);
      const [b, t] = source.shape;
      return {
        out: expectShape('maskedSum', 'out', out, [b]),
        x: source,
        mask: expectShape('maskedSum', 'mask', mask, [b, t]),
        b,
        t,
      };
    },
    maskedSumBackward(dinp: Tensor, dout: Tensor, mask: Tensor) {
      const weights = expectRank('maskedSumBackward', 'mask', mask, ['b', 't']);
      const [b, t] = weights.shape;
      return {
        dinp: expectShape('maskedSumBackward', 'dinp', dinp, [b, t]),
        dout: expectShape('maskedSumBackward', 'dout', dout, [b]),
        mask: weights,
        b,
        t,
      };
    },
    dpo(...[losses, dlogps, logps, refLogps, labels]: Given<'dpo'>) {
      const soft = expectRank('dpo', 'labels', labels, ['p']);
      const p = soft.shape[0];
      return {
        losses: expectShape('dpo', 'losses', losses, [p]),
        dlogps: expectShape('dpo', 'dlogps', dlogps, [2 * p]),
        logps: expectShape('dpo', 'logps', logps, [2 * p]),
        refLogps: expectShape('dpo', 'refLogps', refLogps, [2 * p]),
        labels: soft,
        p,
      };
    },
    policyGradient(...[losses, dlogps, logps, old, ref, advantages, weights]: Given<'policyGradient'>) {
      const values = expectRank('policyGradient', 'logps', logps, ['n']);
      const n = values.shape[0];
      const vector = (name: string, tensor: Tensor) => expectShape('policyGradient', name, tensor, [n]);
      return {
        tensors: [
          vector('losses', losses),
          vector('dlogps', dlogps),
          values,
          vector('oldLogps', old),
          vector('refLogps', ref),
          vector('advantages', advantages),
          vector('weights', weights),
        ],
        n,
      };
    },
    sumSquares(out: Tensor, x: Tensor) {
      const target = expectShape('sumSquares', 'out', out, [1]);
      const source = expectF32('sumSquares', 'x', x);
      return { out: target, x: source, n: source.length };
    },
    adamw(...[param, grad, m, v, gradSquares]: Given<'adamw'>) {
      const target = expectF32('adamw', 'param', param);
      const { shape } = target;
      return {
        param: target,
        m: expectShape('adamw', 'm', m, shape),
        v: expectShape('adamw', 'v', v, shape),
        grad: expectShape('adamw', 'grad', grad, shape),
        gradSquares: expectShape('adamw', 'gradSquares', gradSquares, [1]),
        n: target.length,
      };
    },
  };
}

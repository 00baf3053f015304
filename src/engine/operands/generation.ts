import type { Checks, OwnTensor } from '../checks.ts';
import type { SampleOptions, Tensor } from '../engine.ts';

/** Of drawing tokens. */
export function generationOperands<T extends OwnTensor>(checks: Checks<T>) {
  const { expectShape, expectRank } = checks;

  return {
    sample(
      next: Tensor,
      logps: Tensor,
      logits: Tensor,
      streams: Tensor,
      lengths: Tensor,
      options: SampleOptions,
    ) {
      const { temperature, topK, topP } = options;
      if (!(temperature >= 0)) throw new Error(`sample: expected temperature >= 0, got ${temperature}`);
      if (!(Number.isInteger(topK) && topK >= 0)) throw new Error(`sample: expected topK >= 0, got ${topK}`);
      if (!(topP > 0)) throw new Error(`sample: expected topP > 0, got ${topP}`);
      const scores = expectRank('sample', 'logits', logits, ['b', 'vocab']);
      const [b, vocab] = scores.shape;
      return {
        next: expectShape('sample', 'next', next, [b], 'u32'),
        logps: expectShape('sample', 'logps', logps, [b]),
        logits: scores,
        streams: expectShape('sample', 'streams', streams, [b, 2], 'u32'),
        lengths: expectShape('sample', 'lengths', lengths, [b], 'u32'),
        b,
        vocab,
      };
    },
    repetitionPenalty(logits: Tensor, tokens: Tensor, lengths: Tensor, penalty: number) {
      const operation = 'repetitionPenalty';
      if (!(penalty > 0)) throw new Error(`${operation}: expected penalty > 0, got ${penalty}`);
      const scores = expectRank(operation, 'logits', logits, ['b', 'vocab']);
      const [b, vocab] = scores.shape;
      const max = expectRank(operation, 'tokens', tokens, ['b', 'max'], 'u32').shape[1];
      return {
        logits: scores,
        tokens: expectShape(operation, 'tokens', tokens, [b, max], 'u32'),
        lengths: expectShape(operation, 'lengths', lengths, [b], 'u32'),
        b,
        vocab,
        max,
      };
    },
    advance(
      tokens: Tensor,
      lengths: Tensor,
      finished: Tensor,
      current: Tensor,
      positions: Tensor,
      next: Tensor,
      eos: Tensor,
    ) {
      const grid = expectRank('advance', 'tokens', tokens, ['b', 'max'], 'u32');
      const [b, max] = grid.shape;
      return {
        tokens: grid,
        lengths: expectShape('advance', 'lengths', lengths, [b], 'u32'),
        finished: expectShape('advance', 'finished', finished, [b], 'u32'),
        current: expectShape('advance', 'current', current, [b], 'u32'),
        positions: expectShape('advance', 'positions', positions, [b], 'u32'),
        next: expectShape('advance', 'next', next, [b], 'u32'),
        eos: expectRank('advance', 'eos', eos, ['e'], 'u32'),
        b,
        max,
      };
    },
  };
}

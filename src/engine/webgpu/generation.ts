import type { Engine } from '../engine.ts';
import { expectRank, expectShape } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { perElement, type Recorder } from './recorder.ts';

type GenerationOperations = Pick<Engine, 'sample' | 'advance'>;

export function generationOperations(recorder: Recorder, kernels: Kernels): GenerationOperations {
  return {
    sample(next, logits, streams, lengths, { temperature, topK, topP, key }) {
      if (!(temperature >= 0)) throw new Error(`sample: expected temperature >= 0, got ${temperature}`);
      if (!(Number.isInteger(topK) && topK >= 0)) throw new Error(`sample: expected topK >= 0, got ${topK}`);
      if (!(topP > 0)) throw new Error(`sample: expected topP > 0, got ${topP}`);
      const scores = expectRank('sample', 'logits', logits, ['b', 'vocab']);
      const [b, vocab] = scores.shape;
      const tensors = [
        expectShape('sample', 'next', next, [b], 'u32'),
        scores,
        expectShape('sample', 'streams', streams, [b, 2], 'u32'),
        expectShape('sample', 'lengths', lengths, [b], 'u32'),
      ];
      const params = { b, vocab, temperature, top_k: topK, top_p: topP, key0: key[0], key1: key[1] };
      const groups = Math.ceil(b / kernels.rowsPerGroup);
      recorder.dispatch(kernels.get('sample'), tensors, params, groups);
    },
    advance(tokens, lengths, finished, current, positions, next, eos) {
      const grid = expectRank('advance', 'tokens', tokens, ['b', 'max'], 'u32');
      const [b, max] = grid.shape;
      const ends = expectRank('advance', 'eos', eos, ['e'], 'u32');
      const tensors = [
        grid,
        expectShape('advance', 'lengths', lengths, [b], 'u32'),
        expectShape('advance', 'finished', finished, [b], 'u32'),
        expectShape('advance', 'current', current, [b], 'u32'),
        expectShape('advance', 'positions', positions, [b], 'u32'),
        expectShape('advance', 'next', next, [b], 'u32'),
        ends,
      ];
      for (const state of tensors.slice(0, 3)) recorder.settle(state);
      const params = { b, max_length: max, eos_count: ends.length };
      recorder.dispatch(kernels.get('advance'), tensors, params, perElement(b));
    },
  };
}

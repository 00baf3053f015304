import type { Engine } from '../engine.ts';
import { operands } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { perElement, type Recorder } from './recorder.ts';

type GenerationOperations = Pick<Engine, 'sample' | 'advance'>;

export function generationOperations(recorder: Recorder, kernels: Kernels): GenerationOperations {
  return {
    sample(...given) {
      const { temperature, topK, topP, key } = given[4];
      const { next, logits, streams, lengths, b, vocab } = operands.sample(...given);
      const params = { b, vocab, temperature, top_k: topK, top_p: topP, key0: key[0], key1: key[1] };
      const groups = Math.ceil(b / kernels.rowsPerGroup);
      recorder.dispatch(kernels.get('sample'), [next, logits, streams, lengths], params, groups);
    },
    advance(...given) {
      const { tokens, lengths, finished, current, positions, next, eos, b, max } = operands.advance(...given);
      for (const state of [tokens, lengths, finished]) recorder.settle(state);
      const tensors = [tokens, lengths, finished, current, positions, next, eos];
      const params = { b, max_length: max, eos_count: eos.length };
      recorder.dispatch(kernels.get('advance'), tensors, params, perElement(b));
    },
  };
}

import type { Engine } from '../engine.ts';
import { operands } from './checks.ts';
import type { Kernels } from './kernels.ts';
import { perElement, type Recorder } from './recorder.ts';

type GenerationOperations = Pick<Engine, 'sample' | 'repetitionPenalty' | 'advance'>;

export function generationOperations(recorder: Recorder, kernels: Kernels): GenerationOperations {
  return {
    sample(...given) {
      const { temperature, topK, topP, key } = given[5];
      const { next, logps, logits, streams, lengths, b, vocab } = operands.sample(...given);
      const params = { b, vocab, temperature, top_k: topK, top_p: topP, key0: key[0], key1: key[1] };
      const groups = Math.ceil(b / kernels.rowsPerGroup);
      recorder.dispatch(kernels.get('sample'), [next, logps, logits, streams, lengths], params, groups);
    },
    repetitionPenalty(...given) {
      const { logits, tokens, lengths, b, vocab, max } = operands.repetitionPenalty(...given);
      recorder.settle(logits);
      const params = { b, vocab, max_length: max, penalty: given[3] };
      recorder.dispatch(
        kernels.get('repetition_penalty'),
        [logits, tokens, lengths],
        params,
        perElement(b * max),
      );
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

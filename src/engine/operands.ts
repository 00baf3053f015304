/** The shapes each operation asks for: checked in one place for every engine. */
import type { Checks, OwnTensor } from './checks.ts';
import { attentionOperands } from './operands/attention.ts';
import { generationOperands } from './operands/generation.ts';
import { lossOperands } from './operands/losses.ts';
import { transformerOperands } from './operands/transformer.ts';

/** For each operation, a function of its tensors that returns them as the engine's own, and their sizes. */
export function operandsOf<T extends OwnTensor>(checks: Checks<T>) {
  return {
    ...transformerOperands(checks),
    ...attentionOperands(checks),
    ...lossOperands(checks),
    ...generationOperands(checks),
  };
}

export type Operands<T extends OwnTensor> = ReturnType<typeof operandsOf<T>>;

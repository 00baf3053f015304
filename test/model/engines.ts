/** Engines that tests of the model run on. */
import type { Engine } from '../../src/engine/engine.ts';
import { ReferenceEngine } from '../support/reference_engine.ts';

export const engines: readonly { name: string; open: () => Promise<Engine> }[] = [
  { name: 'reference', open: async () => new ReferenceEngine() },
];

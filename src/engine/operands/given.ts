import type { Engine } from '../engine.ts';

/** An operation's arguments. Scalars after the tensors are accepted, so that an engine passes on what it is given. */
export type Given<K extends keyof Engine> = Engine[K] extends (...given: infer P) => unknown ? P : never;

/** Page of identity.test.ts: leaves the hash of the answers in `globalThis.result`. */
import { loadWasm } from '../../src/wasm.ts';
import { answersHash } from './answers.ts';

Object.assign(globalThis, { result: loadWasm().then(answersHash) });

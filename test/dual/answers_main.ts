/** Prints the hash of the answers; run by Node and Deno. */
import { loadWasm } from '../../src/wasm.ts';
import { answersHash } from './answers.ts';

console.log(await answersHash(await loadWasm()));

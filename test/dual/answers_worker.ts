/** Serves the hash of the answers from workerd, which forbids compiling WebAssembly at run time. */
// @ts-expect-error: workerd's configuration provides the compiled module under this name.
import module from 'dualign.wasm';
import { loadWasm } from '../../src/wasm.ts';
import { answersHash } from './answers.ts';

export default {
  async fetch(): Promise<Response> {
    return new Response(await answersHash(await loadWasm(module)));
  },
};

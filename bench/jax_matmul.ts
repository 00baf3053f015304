/**
 * GFLOP/s of a product of squares in jax-js, on the adapter that the engine would take: bench/gpu.ts sets it beside the
 * engine's. jax-js is no dependency: `npm install @jax-js/jax` in some folder, and name that.
 *
 *     deno run -A bench/jax_matmul.ts --folder path [--side 4096]
 *
 * Prints {"version", "rate"} as one line of JSON. Node will do too.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { requestDevice } from '../src/host/gpu.ts';

const { values: given } = parseArgs({
  options: { folder: { type: 'string', default: '.' }, side: { type: 'string', default: '4096' } },
});
const side = Number(given.side);
const ROUNDS = 5;

interface JaxArray {
  readonly ref: JaxArray;
  data(): Promise<ArrayLike<number>>;
  dispose(): void;
}

interface Jax {
  init(): Promise<readonly string[]>;
  defaultDevice(name: string): unknown;
  blockUntilReady(array: JaxArray): Promise<unknown>;
  readonly numpy: {
    ones(shape: readonly number[]): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
  };
}

// Names the driver to this host, as the engine does.
(await requestDevice()).device.destroy();
const root = join(given.folder, 'node_modules/@jax-js/jax');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const jax: Jax = await import(pathToFileURL(join(root, 'dist/index.js')).href);
if (!(await jax.init()).includes('webgpu')) throw new Error('jax-js found no WebGPU on this host');
jax.defaultDevice('webgpu');
const [a, b] = [jax.numpy.ones([side, side]), jax.numpy.ones([side, side])];
let best = Infinity;
// The first round compiles.
for (let round = 0; round <= ROUNDS; round++) {
  const start = performance.now();
  const product = jax.numpy.matmul(a.ref, b.ref);
  await jax.blockUntilReady(product.ref);
  const time = performance.now() - start;
  if (round > 0) best = Math.min(best, time);
  if (round === 0) {
    const [first] = Array.from((await product.ref.data()) as Float32Array);
    if (first !== side) throw new Error(`expected ${side}, got ${first}`);
  }
  product.dispose();
}
console.log(JSON.stringify({ version, rate: (2e-6 * side ** 3) / best }));
process.exit();

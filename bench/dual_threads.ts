/**
 * The dual on one thread and on several, in one run, with the speed-up of each.
 *
 *     node bench/dual_threads.ts [N] [K] [threads]
 *
 * N is 100000, K 128 and threads 2 if left out.
 */
import { bootstrapWith, type Kernels, loadWasm, safetyCurveWith, solveWith } from '../src/dual/index.ts';
import { threadedKernels } from '../src/host/dual_threads.ts';
import { generateScores } from '../test/support/score_generator.ts';

const [N, K, threads] = ['100000', '128', '2'].map((value, i) => Number(process.argv[2 + i] ?? value));
const REPEATS = 5;
const alone = await loadWasm();
const together = await threadedKernels(threads);

const small = generateScores(1, 1000, K, 1);
const large = generateScores(1, N, K, 1);
const thresholds = [0.5];
const tasks: [string, (kernels: Kernels) => unknown][] = [
  ...[0.01, 0.1, 0.5].map((beta): [string, (kernels: Kernels) => unknown] => [
    `solve, β = ${beta}`,
    (kernels) => solveWith(kernels, { ...large, beta, thresholds }),
  ]),
  ['curve of 50 points, β = 0.1', (kernels) => safetyCurveWith(kernels, large, 0.1, { points: 50 })],
  [
    'bootstrap of 1000, β = 0.1, N = 1000',
    (kernels) => bootstrapWith(kernels, { ...small, beta: 0.1, thresholds }, { replicates: 1000 }),
  ],
];

function time(task: () => unknown): number {
  const start = performance.now();
  task();
  return performance.now() - start;
}

console.log(`N = ${N}, K = ${K}, ${threads} threads`);
for (const [name, task] of tasks) {
  const times = [alone, together].map((kernels) => {
    task(kernels);
    return Math.min(...Array.from({ length: REPEATS }, () => time(() => task(kernels))));
  });
  const [one, several] = times;
  console.log(
    `${name.padEnd(40)} ${one.toFixed(1).padStart(9)} ms ${several.toFixed(1).padStart(9)} ms  × ${(one / several).toFixed(2)}`,
  );
}
together.terminate();

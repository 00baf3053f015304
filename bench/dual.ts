/**
 * The dual against scipy's L-BFGS-B and against the paper's projected gradient descent, on scores with the statistics of
 * the paper's (test/support/score_generator.ts), in one run: passes, whole solves, a curve of 100 points.
 *
 *     node bench/dual.ts [N] [K] [m,…]
 *
 * N is 1000, K is 128 and m is 1,2,4 if left out; 1e5 prompts of m = 4 take 3 GB. PYTHON names a python with numpy and scipy; without one, only our side is timed.
 * Times are the least of several repetitions, in milliseconds. Solves start from the scores in ordinary arrays: copying
 * them into WebAssembly counts, as do the diagnostics of `solveDual`; scipy's side starts from its own arrays.
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DualProblem, evaluateWith, loadWasm, safetyCurveWith, solveWith } from '../src/dual/index.ts';
import { generateScores } from '../test/support/score_generator.ts';

const [N, K] = [process.argv[2] ?? '1000', process.argv[3] ?? '128'].map(Number);
const SIZES = (process.argv[4] ?? '1,2,4').split(',').map(Number);
const CASES: [number, number][] = SIZES.flatMap((m) =>
  [0.01, 0.1, 0.5].map((beta): [number, number] => [m, beta]),
);
const kernels = await loadWasm();

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Least time of a call over at least five calls and half a second. */
function least(work: () => void): number {
  work();
  let best = Number.POSITIVE_INFINITY;
  const end = performance.now() + 500;
  for (let i = 0; i < 5 || performance.now() < end; i++) {
    const start = performance.now();
    work();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

/** Steps of λ := max(0, λ − ∇D) from 1 until five in a row move less than 1e-5, as in the paper, or `most` of them. */
function projectedGradient(problem: DualProblem, most: number): { lambda: number[]; steps: number } {
  let lambda = problem.thresholds.map(() => 1);
  let still = 0;
  let steps = 0;
  for (; still < 5 && steps < most; steps++) {
    const { gradient } = evaluateWith(kernels, problem, lambda);
    const next = lambda.map((value, j) => Math.max(0, value - gradient[j]));
    still = next.every((value, j) => Math.abs(value - lambda[j]) < 1e-5) ? still + 1 : 0;
    lambda = next;
  }
  return { lambda, steps };
}

interface Timing {
  readonly lambda: number[];
  readonly milliseconds: number;
  readonly evaluations: number;
}

function scipyTimings(folder: string): Timing[] | undefined {
  const script = fileURLToPath(new URL('dual_lbfgsb.py', import.meta.url));
  const cases = CASES.map(([m, beta]) => `${m}:${beta}`);
  const { status, stdout } = spawnSync(
    process.env.PYTHON ?? 'python3',
    [script, folder, `${N}`, `${K}`, ...cases],
    {
      encoding: 'utf8',
      env: { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' },
    },
  );
  return status === 0 ? (JSON.parse(stdout) as Timing[]) : undefined;
}

const folder = mkdtempSync(join(tmpdir(), 'dualign-bench-'));
for (const m of SIZES) {
  const { reward, safety } = generateScores(1, N, K, m);
  const file = join(folder, `${m}.bin`);
  writeFileSync(file, bytesOf(reward));
  appendFileSync(file, bytesOf(safety));
}
const scipy = scipyTimings(folder);
rmSync(folder, { recursive: true });
if (!scipy) console.log('no python with scipy (set PYTHON): only our side is timed');

console.log(`N = ${N}, K = ${K}, thresholds 0.5`);
for (const [i, [m, beta]] of CASES.entries()) {
  const problem = { ...generateScores(1, N, K, m), beta, thresholds: Array.from({ length: m }, () => 0.5) };
  const ours = least(() => solveWith(kernels, problem));
  const solution = solveWith(kernels, problem);
  if (solution.status !== 'optimal') throw new Error(`expected an optimum, got ${solution.status}`);
  const theirs = scipy?.[i];
  const difference = theirs
    ? Math.max(...theirs.lambda.map((value, j) => Math.abs(value - solution.lambda[j])))
    : 0;
  const ratio = theirs
    ? `, L-BFGS-B ${theirs.milliseconds.toFixed(2)} ms (${theirs.evaluations} evaluations): ${(theirs.milliseconds / ours).toFixed(1)} ×, λ differs by ${difference.toExponential(1)}`
    : '';
  console.log(`m = ${m}, β = ${beta}: ${ours.toFixed(2)} ms${ratio}`);
}

const one = { ...generateScores(1, N, K, 1), beta: 0.1, thresholds: [0.5] };
const curve = least(() => safetyCurveWith(kernels, one, 0.1, { points: 100 }));
const single = scipy?.[CASES.findIndex(([m, beta]) => m === 1 && beta === 0.1)];
const against = single
  ? `, 100 L-BFGS-B solves ${(100 * single.milliseconds).toFixed(0)} ms: ${((100 * single.milliseconds) / curve).toFixed(0)} ×`
  : '';
console.log(`curve of 100 points: ${curve.toFixed(1)} ms${against}`);
const { lambda, steps } = projectedGradient(one, 200);
console.log(
  `projected gradient, step 1 from 1: λ = ${lambda[0].toFixed(4)} after ${steps} steps` +
    (steps === 200 ? ' (no end: the step is too long for the curvature)' : ''),
);

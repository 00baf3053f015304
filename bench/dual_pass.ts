/**
 * One pass of value, gradient and Hessian (one constraint, one thread), against the same in C (bench/dual_pass.c, built
 * with cc -O3 -march=native -ffast-math, so that exp is vectorised), on the same scores and λ in one run.
 *
 *     node bench/dual_pass.ts [N] [K]
 *
 * N is 1000 and K is 128 if left out. CC names a compiler.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadWasm } from '../src/dual/index.ts';
import { evaluationWidth, Newton } from '../src/dual/newton.ts';
import { BLOCK, LoadedTable } from '../src/dual/table.ts';
import { generateScores } from '../test/support/score_generator.ts';

const [N, K] = [process.argv[2] ?? '1000', process.argv[3] ?? '128'].map(Number);
const THRESHOLD = 0.5;
const LAMBDA = 0.65;
const scores = generateScores(1, N, K, 1);

const kernels = await loadWasm();
const table = new LoadedTable(kernels, scores);
const { wasm, blocks } = table;
const scratch = wasm.createScratch(table.scores, BLOCK);
const partial = wasm.allocate(8 * evaluationWidth(1) * blocks);
const newton = new Newton(wasm, 1);

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function pass(beta: number): readonly number[] {
  newton.aim(table.statistics, beta, [THRESHOLD], [LAMBDA]);
  const start = performance.now();
  const lambda = newton.setLambda([LAMBDA]);
  wasm.evaluateBlocks(table.scores, scratch, lambda, beta, 0, blocks, partial, 0, 0);
  wasm.sumBlocks(partial, blocks, evaluationWidth(1));
  newton.absorb(partial, N);
  const time = performance.now() - start;
  const { value, gradient, hessian } = newton.evaluation(table.statistics.rewardTop);
  return [time, value, gradient[0], hessian[0][0]];
}

const folder = mkdtempSync(join(tmpdir(), 'dualign-bench-'));
try {
  const [data, program] = [join(folder, 'scores.bin'), join(folder, 'dual_pass')];
  writeFileSync(data, bytesOf(scores.reward));
  appendFileSync(data, bytesOf(scores.safety));
  const source = fileURLToPath(new URL('dual_pass.c', import.meta.url));
  const flags = ['-O3', '-march=native', '-ffast-math', source, '-lm', '-o', program];
  execFileSync(process.env.CC ?? 'cc', flags, { stdio: 'inherit' });
  for (const beta of [0.01, 0.1, 0.5]) {
    let best: readonly number[] = [Number.POSITIVE_INFINITY];
    for (const end = performance.now() + 1000; performance.now() < end; ) {
      const next = pass(beta);
      if (next[0] < best[0]) best = next;
    }
    const theirs: number[] = JSON.parse(
      execFileSync(program, [data, `${N}`, `${K}`, `${beta}`, `${THRESHOLD}`, `${LAMBDA}`], {
        encoding: 'utf8',
      }),
    );
    const off = Math.max(...theirs.slice(1).map((value, i) => Math.abs(value - best[i + 1])));
    const perElement = (milliseconds: number) => `${((1e6 * milliseconds) / (N * K)).toFixed(2)} ns`;
    console.log(
      `N = ${N}, K = ${K}, β = ${beta}: ${perElement(best[0])} a score, C ${perElement(theirs[0])}: ` +
        `${(best[0] / theirs[0]).toFixed(2)} × its time; results differ by ${off.toExponential(1)}`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}

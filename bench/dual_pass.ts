/** One evaluation of value, gradient and Hessian over a table of scores: ours, and the same in C (bench/dual_pass.c). */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DualProblem, Kernels } from '../src/dual/index.ts';
import { evaluationWidth, Newton } from '../src/dual/newton.ts';
import { BLOCK, LoadedTable } from '../src/dual/table.ts';

export interface Pass {
  readonly milliseconds: number;
  /** Value, gradient, lower triangle of the Hessian. */
  readonly numbers: readonly number[];
}

/** Our kernel alone, on a table already loaded, one thread: the least time in half a second. */
export function ourPass(kernels: Kernels, problem: DualProblem, lambda: readonly number[]): Pass {
  const { beta, thresholds, prompts } = problem;
  const table = new LoadedTable(kernels.fresh(), problem);
  const { wasm, blocks } = table;
  const width = evaluationWidth(lambda.length);
  const scratch = wasm.createScratch(table.scores, BLOCK);
  const partial = wasm.allocate(8 * width * blocks);
  const newton = new Newton(wasm, lambda.length);
  newton.aim(table.statistics, beta, thresholds, lambda);
  const at = newton.setLambda(lambda);
  let milliseconds = Number.POSITIVE_INFINITY;
  const end = performance.now() + 500;
  for (let run = 0; run < 3 || performance.now() < end; run++) {
    const start = performance.now();
    wasm.evaluateBlocks(table.scores, scratch, at, beta, 0, blocks, partial, 0, 0);
    wasm.sumBlocks(partial, blocks, width);
    newton.absorb(partial, prompts);
    milliseconds = Math.min(milliseconds, performance.now() - start);
  }
  const { value, gradient, hessian } = newton.evaluation(table.statistics.rewardTop);
  const lower = hessian.flatMap((row, i) => row.slice(0, i + 1));
  return { milliseconds, numbers: [value, ...gradient, ...lower] };
}

/** Builds the C for m constraints into `folder`; undefined where the compiler (CC, or cc) is missing or refuses. */
export function compilePass(folder: string, m: number, architecture: string): string | undefined {
  const program = join(folder, `dual_pass_${m}_${architecture}`);
  const source = fileURLToPath(new URL('dual_pass.c', import.meta.url));
  const flags = ['-O3', `-march=${architecture}`, '-ffast-math', `-DM=${m}`, source, '-lm', '-o', program];
  try {
    execFileSync(process.env.CC ?? 'cc', flags, { stdio: 'pipe' });
    return program;
  } catch {
    return undefined;
  }
}

/** The C on scores written as it wants them; thresholds are all the same. */
export function cPass(program: string, file: string, problem: DualProblem, lambda: readonly number[]): Pass {
  const { prompts, responses, beta, thresholds } = problem;
  const numbers = [prompts, responses, beta, thresholds[0], ...lambda].map(String);
  const [milliseconds, ...rest]: number[] = JSON.parse(
    execFileSync(program, [file, ...numbers], { encoding: 'utf8' }),
  );
  return { milliseconds, numbers: rest };
}

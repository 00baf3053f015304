/**
 * The dual against scipy's L-BFGS-B, against the paper's projected gradient descent in numpy, and one pass of it against C,
 * on the same scores (test/support/score_generator.ts, with the statistics of the paper's) in one run, as one table.
 *
 *     node bench/dual.ts --n 1000,100000 --m 1,2,4 --beta .01,.1,.5 --python venv/bin/python
 *
 * --k K                 responses a prompt; 128, or 16 from a million prompts on, if left out
 * --against A,…         of lbfgsb, gradient, c and curve (100 points, m = 1); all if left out
 * --seconds S           longest run of one of the others' minimisations, which is then cut off; 20 if left out
 * --python PATH         a python with numpy and scipy (or PYTHON); --against c needs none. CC names a compiler
 *
 * Thresholds are 0.5. Times are the least of several runs, one thread each. Ours start from the scores in ordinary arrays and end
 * with all diagnostics of `solveDual`; the others' start from their own arrays and end with λ. Projected gradient descent is
 * the authors': step 1, from λ = 1, until five λ in a row lie within 1e-5. On scores like these the step is too long, and
 * its cost is mostly its restart schedule: up to 200 passes before each shorter step is tried.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type DualProblem, loadWasm, safetyCurveWith, solveWith } from '../src/dual/index.ts';
import { type GeneratedScores, generateScores } from '../test/support/score_generator.ts';
import { compilePass, cPass, ourPass } from './dual_pass.ts';

const { values: options } = parseArgs({
  options: {
    n: { type: 'string', default: '1000' },
    k: { type: 'string' },
    m: { type: 'string', default: '1,2,4' },
    beta: { type: 'string', default: '.01,.1,.5' },
    against: { type: 'string', default: 'lbfgsb,gradient,c,curve' },
    seconds: { type: 'string', default: '20' },
    python: { type: 'string', default: process.env.PYTHON ?? 'python3' },
  },
});
const numbers = (text: string) => text.split(',').map(Number);
const [SIZES, MS, BETAS] = [options.n, options.m, options.beta].map(numbers);
const against = options.against.split(',');
const METHODS = ['lbfgsb', 'gradient'].filter((name) => against.includes(name));
const THRESHOLD = 0.5;
/** An instruction set of 128 bits without fused multiply-add, as WebAssembly has. */
const NARROW = 'x86-64-v2';

interface Minimised {
  readonly lambda: number[];
  readonly milliseconds: number;
  readonly passes: number;
  readonly runs: number;
  readonly ended: boolean;
  /** Cut off after --seconds. */
  readonly limited: boolean;
}
type Minimisers = Partial<Record<string, Minimised>>;

const kernels = await loadWasm();

/** Least time of a call: of as many as a second holds, but three, or of two where one takes long. */
function least(work: () => void): number {
  work();
  let best = Number.POSITIVE_INFINITY;
  const begun = performance.now();
  for (let i = 0; i < 3 || performance.now() < begun + 1000; i++) {
    const start = performance.now();
    work();
    best = Math.min(best, performance.now() - start);
    if (best > 2000) break;
  }
  return best;
}

function scoresOf(scores: GeneratedScores, m: number): GeneratedScores {
  return { ...scores, safety: scores.safety.subarray(0, m * scores.reward.length) };
}

function write(file: string, { reward, safety }: GeneratedScores): void {
  const open = openSync(file, 'w');
  // One write holds 2 GiB at most.
  for (const { buffer, byteOffset, byteLength } of [reward, safety]) {
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    for (let at = 0; at < byteLength; at += 1 << 28) writeSync(open, bytes.subarray(at, at + (1 << 28)));
  }
  closeSync(open);
}

function minimise(file: string, N: number, K: number, cases: string[]): Minimisers[] {
  if (METHODS.length === 0) return cases.map(() => ({}));
  const script = fileURLToPath(new URL('dual_scipy.py', import.meta.url));
  const one = { OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' };
  // Else glibc gives numpy's temporaries back to the kernel after each pass, and half the time is page faults.
  const keep = { MALLOC_MMAP_THRESHOLD_: `${2 ** 34}`, MALLOC_TRIM_THRESHOLD_: `${2 ** 34}` };
  const args = [script, file, `${N}`, `${K}`, METHODS.join(), options.seconds, ...cases];
  const { status, stdout } = spawnSync(options.python, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...one, ...keep },
  });
  if (status !== 0) throw new Error(`${options.python} failed: it needs numpy and scipy (--python)`);
  return JSON.parse(stdout);
}

const time = (milliseconds: number) =>
  milliseconds < 10 ? milliseconds.toFixed(2) : milliseconds.toFixed(milliseconds < 100 ? 1 : 0);

function row(cells: readonly string[]): void {
  console.log(`| ${cells.join(' | ')} |`);
}

function minimiserCells(theirs: Minimised | undefined, ours: number): string[] {
  if (!theirs) return ['', '', ''];
  const cut = theirs.limited ? '> ' : '';
  const runs = theirs.runs > 1 ? `${theirs.passes} in ${theirs.runs} runs` : `${theirs.passes}`;
  const passes = theirs.ended ? runs : `${runs}, no end`;
  return [cut + time(theirs.milliseconds), passes, `${cut}${(theirs.milliseconds / ours).toFixed(1)}`];
}

/** Our pass and the C's in ns a response, with the ratios, and the largest difference of what they find. */
function passCells(folder: string, file: string, problem: DualProblem, lambda: readonly number[]) {
  const size = problem.reward.length;
  const ours = ourPass(kernels, problem, lambda);
  const cells = [((1e6 * ours.milliseconds) / size).toFixed(2)];
  let off = 0;
  for (const architecture of ['native', NARROW]) {
    const program = compilePass(folder, lambda.length, architecture);
    if (!program) {
      cells.push('', '');
      continue;
    }
    const theirs = cPass(program, file, problem, lambda);
    for (const [i, value] of theirs.numbers.entries()) off = Math.max(off, Math.abs(value - ours.numbers[i]));
    cells.push(
      ((1e6 * theirs.milliseconds) / size).toFixed(2),
      (ours.milliseconds / theirs.milliseconds).toFixed(2),
    );
  }
  return { cells, off };
}

console.log(
  `${cpus()[0].model}, Node ${process.version}, thresholds ${THRESHOLD}; times in ms, passes in ns a response`,
);
const header = [
  ...['N', 'K', 'm', 'β', 'ours'],
  ...['L-BFGS-B', 'passes', 'its time over ours'],
  ...['gradient descent', 'passes', 'its time over ours'],
  ...['our pass', 'C', 'our time over its', `C for ${NARROW}`, 'our time over its'],
];
row(header);
row(header.map(() => '---'));
const folder = mkdtempSync(join(tmpdir(), 'dualign-bench-'));
const notes: string[] = [];
let [mostOff, mostPassOff] = [0, 0];
try {
  for (const N of SIZES) {
    const K = options.k ? Number(options.k) : N < 1e6 ? 128 : 16;
    const all = generateScores(1, N, K, Math.max(...MS));
    const file = join(folder, 'scores.bin');
    write(file, all);
    for (const m of MS) {
      for (const beta of BETAS) {
        const problem = { ...scoresOf(all, m), beta, thresholds: new Array(m).fill(THRESHOLD) };
        const [{ lbfgsb, gradient }] = minimise(file, N, K, [`${m}:${beta}`]);
        const ours = least(() => solveWith(kernels, problem));
        const solution = solveWith(kernels, problem);
        if (solution.status !== 'optimal') throw new Error(`expected an optimum, got ${solution.status}`);
        for (const [j, lambda] of lbfgsb?.lambda.entries() ?? [])
          mostOff = Math.max(mostOff, Math.abs(lambda - solution.lambda[j]));
        const pass = against.includes('c')
          ? passCells(folder, file, problem, solution.lambda)
          : { cells: ['', '', '', '', ''], off: 0 };
        mostPassOff = Math.max(mostPassOff, pass.off);
        row([
          ...[`${N}`, `${K}`, `${m}`, `${beta}`, time(ours)],
          ...minimiserCells(lbfgsb, ours),
          ...minimiserCells(gradient, ours),
          ...pass.cells,
        ]);
        if (m === 1 && against.includes('curve')) {
          const curve = least(() => safetyCurveWith(kernels, problem, beta, { points: 100 }));
          const ratio = lbfgsb
            ? `, 100 L-BFGS-B solves ${time(100 * lbfgsb.milliseconds)} ms: ${((100 * lbfgsb.milliseconds) / curve).toFixed(0)} times ours`
            : '';
          notes.push(`curve of 100 points, N = ${N}, β = ${beta}: ${time(curve)} ms${ratio}`);
        }
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
for (const note of notes) console.log(note);
if (METHODS.includes('lbfgsb'))
  console.log(`λ differs from L-BFGS-B's by ${mostOff.toExponential(1)} at most`);
if (against.includes('c')) console.log(`passes differ from C's by ${mostPassOff.toExponential(1)} at most`);

/**
 * GFLOP/s of each form of product on one thread of the CPU engine, beside what 128-bit SIMD without fused multiply-add
 * can do on the same core: a C program of the same plan, compiled for SSE4 where there is a compiler.
 *
 *     node bench/cpu.ts
 *
 * Tokens a second: bench/policy.ts --device cpu.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCpuEngine } from '../src/engine/cpu/engine.ts';

/** Products of a DPO step of SmolLM2-135M's shape with 256 tokens: [what, m, n, k, form]. */
const PRODUCTS = [
  ['gate, up', 256, 1536, 576, 'NT'],
  ['down', 256, 576, 1536, 'NT'],
  ['head, 8192 of its columns', 256, 8192, 576, 'NT'],
  ['backward of gate, up', 256, 576, 1536, 'NN'],
  ['backward of down', 256, 1536, 576, 'NN'],
  ['gradient of a full weight', 576, 1536, 256, 'TN'],
] as const;
const SQUARE = ['NN', 'NT', 'TN', 'TT'] as const;
const SIDE = 384;
const SECONDS = 0.2;
const ROUNDS = 4;

const engine = await createCpuEngine();

/** The best of the runs of a fifth of a second. */
function measure(m: number, n: number, k: number, form: string): number {
  const [transposeA, transposeB] = [form[0] === 'T', form[1] === 'T'];
  const a = engine.tensor(transposeA ? [k, m] : [m, k]);
  const b = engine.tensor(transposeB ? [n, k] : [k, n]);
  const out = engine.tensor([m, n]);
  engine.write(a, new Float32Array(m * k).fill(0.5));
  engine.write(b, new Float32Array(n * k).fill(0.25));
  let best = 0;
  for (const end = performance.now() + 1000 * SECONDS; performance.now() < end; ) {
    const start = performance.now();
    engine.matmul(out, a, b, { transposeA, transposeB });
    best = Math.max(best, (2 * m * n * k) / (performance.now() - start) / 1e6);
  }
  engine.free(a, b, out);
  return best;
}

/** Lines "name GFLOP/s" of the C program. */
function reference(
  program: string,
  m: number,
  n: number,
  k: number,
  ...forms: string[]
): Map<string, number> {
  const output = execFileSync(program, [m, n, k, ...forms].map(String), { encoding: 'utf8' });
  const lines = output.trim().split('\n');
  return new Map(
    lines.map((line) => {
      const [name, rate] = line.split(' ');
      return [name, Number(rate)];
    }),
  );
}

function compile(folder: string): string | undefined {
  const program = join(folder, 'matmul_sse');
  const source = new URL('matmul_sse.c', import.meta.url).pathname;
  try {
    execFileSync('cc', ['-O3', '-march=x86-64', '-msse4.2', source, '-o', program], { stdio: 'ignore' });
    return program;
  } catch {
    console.log('No C compiler for SSE4 here: without the comparison.');
    return undefined;
  }
}

interface Rates {
  engine: number;
  c: number;
  limit: number;
}

const folder = mkdtempSync(join(tmpdir(), 'dualign-bench-'));
try {
  const program = compile(folder);
  const products = [...PRODUCTS, ...SQUARE.map((form) => [`${SIDE}³`, SIDE, SIDE, SIDE, form] as const)];
  const best = products.map((): Rates => ({ engine: 0, c: 0, limit: 0 }));
  // In turns, so that a busy spell of the machine does not fall on one of them alone.
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, [, m, n, k, form]] of products.entries()) {
      best[i].engine = Math.max(best[i].engine, measure(m, n, k, form));
      if (!program) continue;
      const found = reference(program, m, n, k, form);
      best[i].c = Math.max(best[i].c, found.get(form)!);
      best[i].limit = Math.max(best[i].limit, found.get('limit')!);
    }
  }
  const limit = Math.max(...best.map((rates) => rates.limit));
  console.log(
    'GFLOP/s on one thread'.padEnd(44),
    'engine',
    ...(program ? ['C, SSE4', ' engine / limit'] : []),
  );
  for (const [i, [what, m, n, k, form]] of products.entries()) {
    const cells = [`${what}, ${m}×${k}×${n} ${form}`.padEnd(44), best[i].engine.toFixed(1).padStart(6)];
    if (program) {
      const share = Math.round((100 * best[i].engine) / limit);
      cells.push(best[i].c.toFixed(1).padStart(7), `${share} %`.padStart(15));
    }
    console.log(...cells);
  }
  if (program) console.log(`limit of 128-bit SIMD without fused multiply-add: ${limit.toFixed(1)}`);
} finally {
  rmSync(folder, { recursive: true });
  engine.destroy();
}

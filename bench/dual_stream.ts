/**
 * The dual of a table that is streamed in single precision, with the memory it takes.
 *
 *     node bench/dual_stream.ts [N] [K]
 *
 * N is 1000000 and K is 128 if left out. The source gives the same 8192 prompts (test/support/score_generator.ts) again
 * and again, so that making them costs nothing: what is timed is what a reader of a file hands over.
 */
import { type Kernels, type ScoreTable, solveStreamWith } from '../src/dual/index.ts';
import { threadedKernels } from '../src/host/dual_threads.ts';
import { generateScores } from '../test/support/score_generator.ts';

const [N, K] = [process.argv[2] ?? '1000000', process.argv[3] ?? '128'].map(Number);
const CHUNK = 8192;
const { reward, safety } = generateScores(1, CHUNK, K, 1);
const chunk = { reward: Float32Array.from(reward), safety: Float32Array.from(safety) };

function* source(): Generator<ScoreTable> {
  for (let row = 0; row < N; row += CHUNK) {
    const prompts = Math.min(CHUNK, N - row);
    const size = prompts * K;
    yield {
      prompts,
      responses: K,
      reward: chunk.reward.subarray(0, size),
      safety: chunk.safety.subarray(0, size),
    };
  }
}

const threads = Number(process.argv[4] ?? 1);
const kernels = await threadedKernels(threads);
for (const beta of [0.1, 0.1, 0.5, 0.01]) {
  const own: Kernels[] = [];
  const counted = {
    ...kernels,
    fresh() {
      own.push(kernels.fresh());
      return own[own.length - 1];
    },
  };
  const start = performance.now();
  const solution = await solveStreamWith(counted, source, { beta, limits: [{ threshold: 0.5 }] });
  const seconds = (performance.now() - start) / 1000;
  const bytes = own.reduce((sum, { exports }) => sum + exports.memory.buffer.byteLength, 0);
  const found = solution.status === 'infeasible' ? 'infeasible' : `λ = ${solution.lambda}`;
  const megabytes = (size: number) => `${(size / 2 ** 20).toFixed(0)} MiB`;
  console.log(
    `N = ${N}, K = ${K}, β = ${beta}: ${seconds.toFixed(2)} s, ${megabytes(bytes)} of WebAssembly memory, ` +
      `${megabytes(process.memoryUsage().rss)} resident, ${found}`,
  );
}

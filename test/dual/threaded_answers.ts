/** Answers on tables that are large enough for threads, the same file for every host; prints nothing. */
import {
  bootstrapWith,
  type Kernels,
  type ScoreTable,
  safetyCurveWith,
  solveStreamWith,
  solveWith,
} from '../../src/dual/index.ts';
import { threadedKernels } from '../../src/host/dual_threads.ts';
import { generateScores } from '../support/score_generator.ts';

const single = (values: Float64Array) => Float32Array.from(values);

/** A table in chunks of `size` prompts; a table with one safety score and the same K for each prompt. */
function* chunksOf({ reward, safety, prompts, responses }: ScoreTable, size: number): Generator<ScoreTable> {
  const K = responses as number;
  for (let row = 0; row < prompts; row += size) {
    const count = Math.min(size, prompts - row);
    const part = <T extends Float64Array | Float32Array>(values: T) =>
      values.subarray(row * K, (row + count) * K) as T;
    yield { prompts: count, responses: K, reward: part(reward), safety: part(safety) };
  }
}

async function solutions(kernels: Kernels, size: number): Promise<unknown[]> {
  const one = generateScores(1, 5000, 64, 1);
  const two = generateScores(2, 2500, 96, 2);
  const small = generateScores(4, 300, 24, 2);
  const few = generateScores(7, 40, 6, 1);
  const ragged = generateScores(3, 9000, 40, 1);
  const responses = Uint32Array.from({ length: 9000 }, (_, n) => 20 + ((n * 7) % 41));
  const narrow = { ...one, reward: single(one.reward), safety: single(one.safety) };
  const streamed = (beta: number) =>
    solveStreamWith(kernels, () => chunksOf(narrow, size), { beta, limits: [{ margin: 2 }] });
  const total = responses.reduce((sum, count) => sum + count, 0);
  const weighted = {
    prompts: 9000,
    responses,
    reward: ragged.reward.slice(0, total),
    safety: ragged.safety.slice(0, total),
    weights: Float64Array.from({ length: total }, (_, i) => 1 + ((i * 5) % 3)),
  };
  return [
    solveWith(kernels, { ...one, beta: 0.1, thresholds: [0.5] }),
    solveWith(kernels, { ...one, beta: 2, thresholds: [0.2] }),
    solveWith(kernels, { ...one, reward: single(one.reward), beta: 0.1, thresholds: [30] }),
    solveWith(kernels, { ...two, safety: single(two.safety), beta: 0.3, thresholds: [0.5, 1] }),
    solveWith(kernels, { ...weighted, beta: 0.2, thresholds: [0.4], relative: [true] }),
    safetyCurveWith(kernels, one, 0.1, { points: 4 }),
    bootstrapWith(kernels, { ...one, beta: 0.5, thresholds: [0.5] }, { replicates: 20 }),
    bootstrapWith(
      kernels,
      { ...small, beta: 1, thresholds: [0.3, 0.1], relative: [true, false] },
      { replicates: 150 },
    ),
    // Some resamples are out of reach.
    bootstrapWith(kernels, { ...few, beta: 0.1, thresholds: [1.46] }, { replicates: 2000 }),
    // Few responses are kept of the first one, all of the second one; they share the threads' memory meanwhile.
    ...(await Promise.all([streamed(0.05), streamed(2)])),
  ];
}

/**
 * A line for each answer, of JSON: equal texts mean equal bits, for JSON prints every double in full. Streams come in
 * chunks of `size` prompts.
 */
export async function threadedAnswers(threads: number, size: number): Promise<string[]> {
  const kernels = await threadedKernels(threads);
  try {
    // Twice: threads may not have started before the first ones are done.
    await solutions(kernels, size);
    return (await solutions(kernels, size)).map((answer) => JSON.stringify(answer));
  } finally {
    kernels.terminate();
  }
}

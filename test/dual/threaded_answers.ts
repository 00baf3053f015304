/** Answers on tables that are large enough for threads, the same file for every host; prints nothing. */
import { bootstrapWith, type Kernels, safetyCurveWith, solveWith } from '../../src/dual/index.ts';
import { threadedKernels } from '../../src/host/dual_threads.ts';
import { generateScores } from '../support/score_generator.ts';

const single = (values: Float64Array) => Float32Array.from(values);

function solutions(kernels: Kernels): unknown[] {
  const one = generateScores(1, 5000, 64, 1);
  const two = generateScores(2, 2500, 96, 2);
  const ragged = generateScores(3, 9000, 40, 1);
  const responses = Uint32Array.from({ length: 9000 }, (_, n) => 20 + ((n * 7) % 41));
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
  ];
}

/** A line for each answer, of JSON: equal texts mean equal bits, for JSON prints every double in full. */
export async function threadedAnswers(threads: number): Promise<string[]> {
  const kernels = await threadedKernels(threads);
  try {
    // Twice: threads may not have started before the first ones are done.
    solutions(kernels);
    return solutions(kernels).map((answer) => JSON.stringify(answer));
  } finally {
    kernels.terminate();
  }
}

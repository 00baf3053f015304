import { writeSafetensors } from '../../src/data/safetensors.ts';
import { readScoreBlobs } from '../../src/data/score_blobs.ts';
import type { ScoreTable } from '../../src/dual/problem.ts';

/** Scores read on the page, and what the service is sent of them: safetensors, without texts. */
export interface Scores {
  readonly name: string;
  readonly prompts: number;
  readonly responses: number;
  /** m. */
  readonly constraints: number;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Reads files of any kind that the command takes; throws a UserError about what is wrong with them. */
export async function scoresOf(files: readonly File[]): Promise<Scores> {
  const table = await readScoreBlobs(files);
  return {
    name: files.map(({ name }) => name).join(', '),
    prompts: table.prompts,
    responses: table.reward.length,
    constraints: table.safety.length / table.reward.length,
    body: tensorsOf(table),
  };
}

function tensorsOf({ reward, safety, prompts, responses, weights }: ScoreTable): Uint8Array<ArrayBuffer> {
  const even = typeof responses === 'number';
  const shape = even ? [prompts, responses] : [reward.length];
  const m = safety.length / reward.length;
  return Uint8Array.from(
    writeSafetensors([
      ['reward', { shape, data: reward }],
      ['safety', { shape: [m, ...shape], data: safety }],
      ...(weights ? [['weights', { shape, data: weights }] as const] : []),
      ...(even ? [] : [['responses', { shape: [prompts], data: responses }] as const]),
    ]),
  );
}

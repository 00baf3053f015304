/** Scores from files as a page gets them: one file of any kind, or a .npy file for each array. */
import type { ScoreTable } from '../dual/problem.ts';
import { UserError } from '../errors.ts';
import { ByteStream } from './byte_stream.ts';
import { isNpy, readNpy } from './npy.ts';
import { type ArrayName, stackedPlanes, tableOfArrays } from './score_arrays.ts';
import { readScores } from './scores.ts';
import type { StoredArray } from './stored_values.ts';

export type NamedBlob = Pick<File, 'name' | 'slice' | 'stream'>;

/** What the name of a .npy file says that it holds. */
const ROLES: readonly (readonly [RegExp, ArrayName])[] = [
  [/reward/i, 'reward'],
  [/safety/i, 'safety'],
  [/weight/i, 'weights'],
  [/response/i, 'responses'],
];
const MAGIC = 8;

/**
 * Reads one file as `readScores` does, or several .npy files, told apart by reward, safety, weights and responses in
 * their names; several safety files, in the order of their names, are as many scores.
 */
export async function readScoreBlobs(files: readonly NamedBlob[]): Promise<ScoreTable> {
  const [first] = files;
  if (files.length === 1 && !(await startsAsNpy(first))) return readScores(chunksOf(first), first.name);
  const arrays = new Map<ArrayName, StoredArray>();
  const planes: StoredArray[] = [];
  const names: string[] = [];
  for (const file of [...files].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const role = ROLES.find(([pattern]) => pattern.test(file.name))?.[1];
    if (!role || !(await startsAsNpy(file)) || arrays.has(role)) {
      throw new UserError(
        'expected one score file, or the arrays in .npy files named reward.npy and safety.npy (perhaps weights.npy, ' +
          `responses.npy), got ${files.map(({ name }) => name).join(', ')}`,
      );
    }
    const stream = new ByteStream(chunksOf(file), file.name);
    const array = await readNpy(stream, file.name);
    await stream.close();
    if (role !== 'safety') arrays.set(role, array);
    else {
      planes.push(array);
      names.push(file.name);
    }
  }
  if (planes.length > 0) arrays.set('safety', stackedPlanes(planes, names));
  return tableOfArrays(arrays, files.map(({ name }) => name).join(', '));
}

async function startsAsNpy(file: NamedBlob): Promise<boolean> {
  return isNpy(new Uint8Array(await file.slice(0, MAGIC).arrayBuffer()));
}

/** What Safari cannot iterate over itself. */
async function* chunksOf(file: NamedBlob): AsyncGenerator<Uint8Array> {
  const reader = file.stream().getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}

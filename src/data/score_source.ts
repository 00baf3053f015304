import type { ScoreSource } from '../dual/problem.ts';
import { UserError } from '../errors.ts';
import { npzPlaces, safetensorsPlaces, tablePlaces } from './array_places.ts';
import { arraySource } from './array_source.ts';
import { type ByteRanges, bytesFrom, readAt } from './byte_ranges.ts';
import { readRowChunks } from './score_rows.ts';
import { formatOf } from './scores.ts';

/**
 * Scores of any format that `readScores` knows, as a source that is read in passes and never held. Undefined for arrays
 * whose first index runs fastest, which can be read only as a whole. Rows have to stand prompt after prompt, or nearly
 * so: a pass throws ScatteredRows where rows of a prompt come again after many others.
 */
export async function scoreSource(file: ByteRanges, name: string): Promise<ScoreSource | undefined> {
  const start = new Uint8Array(8);
  const count = await readAt(file, 0, start);
  if (count === 0) throw new UserError(`${name}: expected scores, found an empty file`);
  const format = formatOf(start.subarray(0, count), name);
  switch (format) {
    case 'rows':
      return () => readRowChunks(bytesFrom(file, 0), name);
    case 'parquet': {
      // Apart, so that only who reads parquet loads its reader.
      const { readParquetChunks } = await import('./parquet_scores.ts');
      return () => readParquetChunks(asyncBuffer(file), name);
    }
    case 'safetensors':
    case 'npz': {
      const places = await (format === 'npz' ? npzPlaces(file, name) : safetensorsPlaces(file, name));
      return places && arraySource(await tablePlaces(places, name), name);
    }
    case 'npy':
      throw new UserError(
        `${name}: a .npy file holds one array, scores are two at least; put both into one file with ` +
          'numpy.savez(file, reward=reward, safety=safety)',
      );
  }
}

/** A file as hyparquet reads it. */
export function asyncBuffer(file: ByteRanges) {
  const slice = async (begin: number, end = file.size) => {
    const from = begin < 0 ? file.size + begin : begin;
    const bytes = new Uint8Array(Math.max(0, Math.min(end, file.size) - from));
    return bytes.buffer.slice(0, await readAt(file, from, bytes));
  };
  return { byteLength: file.size, slice };
}

import type { ScoreTable } from '../dual/problem.ts';
import { UserError } from '../errors.ts';
import { ByteStream, joined } from './byte_stream.ts';
import { isNpy, isZip } from './npy.ts';
import { readNpzScores, readSafetensorsScores } from './score_arrays.ts';
import { readRowScores } from './score_rows.ts';

const LONGEST_MAGIC = 8;

export type ScoreFormat = 'rows' | 'safetensors' | 'npy' | 'npz' | 'parquet';

/** The kind of a score file, told by its first eight bytes; throws a UserError where they are text in UTF-16. */
export function formatOf(start: Uint8Array, name: string): ScoreFormat {
  if (isNpy(start)) return 'npy';
  if (isZip(start)) return 'npz';
  if (String.fromCharCode(...start.subarray(0, 4)) === 'PAR1') return 'parquet';
  if (isUtf16(start)) throw new UserError(`${name}: expected text in UTF-8, found UTF-16; save it as UTF-8`);
  // The upper bytes of the length of any real safetensors header are 0; text holds no such byte.
  return start.includes(0) ? 'safetensors' : 'rows';
}

/** Latin letters and signs in UTF-16 have a 0 in every other byte; no length of a safetensors header does. */
function isUtf16(start: Uint8Array): boolean {
  const [a, b, c, d] = Array.from(start.subarray(4, 8), Boolean);
  return a === c && b === d && a !== b;
}

/**
 * Reads scores from JSON Lines, a row `{"prompt": …, "reward": x, "safety": [g1, …]}` per response, perhaps with a
 * "weight"; from safetensors or .npz with `reward` [N, K] and `safety` [m, N, K], perhaps `weights` and `responses`
 * (`tableOfArrays`); or from parquet with the columns of the rows. All but parquet, whose directory stands at its end,
 * are read a chunk at a time; of parquet the whole file is held. `name` is how messages call the source.
 */
export async function readScores(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  name: string,
): Promise<ScoreTable> {
  const stream = new ByteStream(source, name);
  try {
    return await readFormat(stream, name);
  } finally {
    await stream.close();
  }
}

async function readFormat(stream: ByteStream, name: string): Promise<ScoreTable> {
  const start = await stream.peek(LONGEST_MAGIC);
  if (start.length === 0) throw new UserError(`${name}: expected scores, found an empty file`);
  switch (formatOf(start, name)) {
    case 'rows':
      return readRowScores(stream.rest(), name);
    case 'safetensors':
      return readSafetensorsScores(stream, name);
    case 'npz':
      return readNpzScores(stream, name);
    case 'npy':
      throw new UserError(
        `${name}: a .npy file holds one array, scores are two at least; put both into one file with ` +
          'numpy.savez(file, reward=reward, safety=safety)',
      );
    case 'parquet': {
      const parts: Uint8Array[] = [];
      for await (const piece of stream.rest()) parts.push(piece);
      const { buffer } = joined(...parts);
      parts.length = 0;
      // Apart, so that only who reads parquet loads its reader.
      const { readParquetScores } = await import('./parquet_scores.ts');
      const slice = async (from: number, to?: number) => (buffer as ArrayBuffer).slice(from, to);
      return readParquetScores({ byteLength: buffer.byteLength, slice }, name);
    }
  }
}

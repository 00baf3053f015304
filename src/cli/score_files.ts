import { createReadStream } from 'node:fs';
import process from 'node:process';
import type { Command } from 'commander';
import { npyPlace } from '../data/array_places.ts';
import { arraySource } from '../data/array_source.ts';
import { type ByteRanges, readAt } from '../data/byte_ranges.ts';
import { ByteStream } from '../data/byte_stream.ts';
import { readNpy } from '../data/npy.ts';
import { DTYPE_BYTES } from '../data/safetensors_header.ts';
import {
  ARRAY_NAMES,
  type ArrayName,
  checkAlike,
  stackedPlanes,
  tableOfArrays,
} from '../data/score_arrays.ts';
import { asyncBuffer, scoreSource } from '../data/score_source.ts';
import { formatOf, readScores } from '../data/scores.ts';
import type { StoredArray } from '../data/stored_values.ts';
import type { ScoreSource, ScoreTable } from '../dual/problem.ts';
import { messageOf, UserError } from '../errors.ts';
import { fileRanges, urlRanges } from '../host/byte_ranges.ts';

/** What the help of each command on scores says of its input. */
export const SCORES_HELP = `
Scores (--scores takes a file, an http(s) URL, or - for stdin)
  JSON Lines, a response a row; the rows of one prompt are its responses, other fields are passed over:
    {"prompt": "How do I …", "reward": 1.7, "safety": [-0.4]}
    {"prompt": "How do I …", "reward": 0.2, "safety": [0.9]}
  Parquet with the columns "prompt", "reward" and "safety", a response a row.
  Safetensors, or NumPy's .npz, with arrays "reward" [N, K] and "safety" [m, N, K]; where prompts differ in their number
  of responses, also "responses" [N]; what pads their rows is then passed over.
  Or a .npy file for each array: --reward reward.npy --safety safety.npy.
  Higher is safer: turn the sign of a cost. Responses drawn from another policy than the reference need importance
  weights, π_ref(y) over the probability that y was drawn with: "weight" in each row, or an array "weights" [N, K].`;

/** Where the scores are, as the options say. */
export interface ScoreFiles {
  readonly scores?: string;
  readonly reward?: string;
  readonly safety?: readonly string[];
  readonly weights?: string;
  readonly responses?: string;
}

export function addScoreOptions(command: Command): Command {
  return command
    .option('--scores <file>', 'scores of reference responses: a file, a URL, or - for stdin; see below')
    .option('--reward <npy>', 'in place of --scores: rewards [N, K] in a .npy file')
    .option(
      '--safety <npy>',
      'with --reward: safety scores [m, N, K], or [N, K] and the option again for each score',
      (path: string, others: string[] = []) => [...others, path],
    )
    .option('--weights <npy>', 'with --reward: importance weights of the responses [N, K]')
    .option(
      '--responses <npy>',
      'with --reward: the number of responses of each prompt [N], where they differ',
    );
}

/** Whether any option names scores. */
export function hasScores(files: ScoreFiles): boolean {
  return ARRAY_NAMES.some((name) => files[name] !== undefined) || files.scores !== undefined;
}

/** Bytes from which on a file of scores is read in passes, where the question allows it, and not held. */
const LARGE = 1 << 26;

/**
 * The scores that the options name as a source to be read in passes; undefined where they are small enough to hold, come
 * from stdin, or can be read only as a whole.
 */
export async function streamScores(files: ScoreFiles): Promise<ScoreSource | undefined> {
  const { scores, reward, safety, weights, responses } = files;
  if (scores !== undefined) {
    const ranges = await rangesOf(scores);
    return ranges && ranges.size > LARGE ? await scoreSource(ranges, scores) : undefined;
  }
  if (reward === undefined || safety === undefined) return undefined;
  const open = async (path: string) => reading(path, async () => npyPlace(await fileRanges(path), path));
  const places = await Promise.all([reward, ...safety, ...(weights ? [weights] : [])].map(open));
  if (!places.every((place) => place !== undefined)) return undefined;
  const bytes = places.reduce((sum, { dtype, shape }) => sum + sizeOf(shape) * DTYPE_BYTES[dtype], 0);
  const planes = places.slice(1, 1 + safety.length);
  if (bytes <= LARGE || planes.some(({ dtype }) => dtype !== planes[0].dtype)) return undefined;
  checkAlike(planes, safety);
  return arraySource(
    {
      reward: places[0],
      safety: planes,
      ...(weights ? { weights: places[places.length - 1] } : {}),
      ...(responses ? { responses: await loadArray(responses) } : {}),
    },
    'scores',
  );
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

async function rangesOf(path: string): Promise<ByteRanges | undefined> {
  if (path === '-') return undefined;
  if (!isUrl(path)) return reading(path, () => fileRanges(path));
  const response = await fetch(path, { method: 'HEAD' }).catch(() => undefined);
  const size = Number(response?.headers.get('content-length') ?? 0);
  return response?.ok && size > 0 ? urlRanges(path, size) : undefined;
}

const isUrl = (path: string) => /^https?:\/\//i.test(path);

/** Reads the scores that the options name; `command` stands in the error where they name none, or two. */
export async function loadScores(files: ScoreFiles, command: string): Promise<ScoreTable> {
  const arrays = ARRAY_NAMES.filter((name) => files[name] !== undefined);
  if (files.scores === undefined) {
    if (files.reward !== undefined && files.safety !== undefined) return loadArrays(files);
    if (arrays.length > 0) {
      throw new UserError(`expected both --reward and --safety, got --${arrays.join(' and --')} alone`);
    }
    throw new UserError(`--scores is missing; see dualign ${command} --help`);
  }
  if (arrays.length > 0) {
    throw new UserError(`expected --scores or arrays in .npy files, got both (--${arrays.join(', --')})`);
  }
  return loadTable(files.scores);
}

async function loadTable(path: string): Promise<ScoreTable> {
  if (path === '-') return readScores(process.stdin, 'stdin');
  if (isUrl(path)) return loadUrl(path);
  return reading(path, async () => {
    const file = await fileRanges(path);
    const start = new Uint8Array(8);
    await readAt(file, 0, start);
    if (formatOf(start, path) !== 'parquet') return readScores(createReadStream(path), path);
    const { readParquetScores } = await import('../data/parquet_scores.ts');
    return readParquetScores(asyncBuffer(file), path);
  });
}

/** Runs `read` on the file at `path`; what the system says against it becomes a line of ours. */
async function reading<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === undefined) throw error;
    throw new UserError(
      code === 'ENOENT' ? `${path}: no such file` : `${path}: could not be read (${messageOf(error)})`,
    );
  }
}

async function loadUrl(url: string): Promise<ScoreTable> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (error) {
    const cause = (error as { cause?: unknown }).cause ?? error;
    throw new UserError(`${url}: could not be fetched (${messageOf(cause)})`);
  }
  if (!response.ok || !response.body) {
    throw new UserError(
      `${url}: expected scores, the server answered ${response.status} ${response.statusText}`.trim(),
    );
  }
  const chunks = chunksOf(response.body, url);
  const first = await chunks.next();
  if (first.done || formatOf(first.value.subarray(0, 8), url) !== 'parquet')
    return readScores(behind(first, chunks), url);
  await chunks.return?.(undefined);
  const { asyncBufferFromUrl } = await import('hyparquet');
  const { readParquetScores } = await import('../data/parquet_scores.ts');
  return readParquetScores(await asyncBufferFromUrl({ url }), url);
}

/** The chunks of a body; a connection that breaks off becomes a line of ours. */
async function* chunksOf(body: ReadableStream<Uint8Array>, url: string): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw new UserError(`${url}: the transfer broke off (${messageOf(error)}); try again`);
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function* behind(
  first: IteratorResult<Uint8Array>,
  rest: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (!first.done) yield first.value;
  yield* rest;
}

async function loadArrays({ safety, ...files }: ScoreFiles): Promise<ScoreTable> {
  const arrays = new Map<ArrayName, StoredArray>();
  for (const name of ARRAY_NAMES) {
    const path = name === 'safety' ? undefined : files[name];
    if (path !== undefined) arrays.set(name, await loadArray(path));
  }
  const planes: StoredArray[] = [];
  for (const path of safety!) planes.push(await loadArray(path));
  arrays.set('safety', stackedPlanes(planes, safety!));
  return tableOfArrays(arrays, 'scores');
}

async function loadArray(path: string): Promise<StoredArray> {
  return reading(path, async () => {
    const stream = new ByteStream(createReadStream(path), path);
    try {
      return await readNpy(stream, path);
    } finally {
      await stream.close();
    }
  });
}

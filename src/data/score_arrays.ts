import type { ScoreTable } from '../dual/problem.ts';
import { UserError } from '../errors.ts';
import type { ByteStream } from './byte_stream.ts';
import { readNpz } from './npy.ts';
import { headerEnd, LENGTH_BYTES, parseHeader } from './safetensors_header.ts';
import { readStored, type StoredArray } from './stored_values.ts';

/** The arrays that a table of scores is made of, by name; the last two may be left out. */
export const ARRAY_NAMES = ['reward', 'safety', 'weights', 'responses'] as const;
export type ArrayName = (typeof ARRAY_NAMES)[number];
export type ScoreArrays = ReadonlyMap<string, StoredArray>;

const WANTED: ReadonlySet<string> = new Set(ARRAY_NAMES);

/** Scores in safetensors, read front to back; tensors of other names are passed over. */
export async function readSafetensorsScores(stream: ByteStream, name: string): Promise<ScoreTable> {
  stream.kind = 'safetensors file';
  const unknown = Number.POSITIVE_INFINITY;
  const dataStart = headerEnd(await stream.take(LENGTH_BYTES), unknown, name);
  const header = await stream.take(dataStart - LENGTH_BYTES);
  const { entries } = parseHeader(header, dataStart, unknown, name);
  const arrays = new Map<string, StoredArray>();
  for (const [key, { dtype, shape, begin, end }] of [...entries].sort(([, a], [, b]) => a.end - b.end)) {
    if (WANTED.has(key)) arrays.set(key, await readStored(stream, dtype, shape));
    else await stream.skip(end - begin);
  }
  if ((await stream.peek(1)).length > 0) {
    throw new UserError(
      `${name}: not a valid safetensors file (bytes follow the last tensor); make it again`,
    );
  }
  return tableOfArrays(arrays, name, [...entries.keys()]);
}

/** Scores in a NumPy archive, read front to back. */
export async function readNpzScores(stream: ByteStream, name: string): Promise<ScoreTable> {
  const { arrays, names } = await readNpz(stream, name, WANTED);
  return tableOfArrays(arrays, name, names);
}

/**
 * The table of `reward` [N, K], `safety` [m, N, K] (or [N, K] for one score), `weights` [N, K] and, where the number of
 * responses differs between prompts, `responses` [N]: these counts go with arrays padded to the longest row, whose
 * padding is not looked at, or without padding as `reward` [R], `safety` [m, R] and `weights` [R].
 */
export function tableOfArrays(
  arrays: ScoreArrays,
  name: string,
  found: readonly string[] = [...arrays.keys()],
): ScoreTable {
  const reward = arrays.get('reward');
  const safety = arrays.get('safety');
  const weights = arrays.get('weights');
  const responses = arrays.get('responses');
  if (!reward || !safety) {
    throw new UserError(
      `${name}: expected arrays "reward" [N, K] and "safety" [m, N, K], found ${found.join(', ') || 'none'}`,
    );
  }
  checkShapes(reward.shape, safety.shape, weights?.shape, responses?.shape, name);
  const planes = safety.values.length / reward.values.length;
  if (!responses) {
    const [prompts, count] = reward.shape;
    return {
      reward: reward.values,
      safety: safety.values,
      prompts,
      responses: count,
      ...(weights ? { weights: weights.values } : {}),
    };
  }
  const counts = countsOf(responses, reward.shape, name);
  const compact = ({ values }: StoredArray, times: number) =>
    reward.shape.length === 1 ? values : withoutPadding(values, counts, reward.shape[1], times);
  return {
    reward: compact(reward, 1),
    safety: compact(safety, planes),
    prompts: counts.length,
    responses: counts.every((count) => count === counts[0]) ? counts[0] : counts,
    ...(weights ? { weights: compact(weights, 1) } : {}),
  };
}

/** Throws unless the arrays of these names have one shape. */
export function checkAlike(planes: readonly { shape: readonly number[] }[], names: readonly string[]): void {
  const [{ shape }] = planes;
  for (const [j, plane] of planes.entries()) {
    if (same(plane.shape, shape)) continue;
    throw new UserError(
      `${names[j]}: expected the shape [${shape.join(', ')}] of ${names[0]}, got [${plane.shape.join(', ')}]`,
    );
  }
}

/** The safety scores of one array, or of several, a score each. */
export function stackedPlanes(planes: readonly StoredArray[], names: readonly string[]): StoredArray {
  if (planes.length === 1) return planes[0];
  checkAlike(planes, names);
  const [{ shape }] = planes;
  const size = planes[0].values.length;
  const narrow = planes.every(({ values }) => values instanceof Float32Array);
  const values = new (narrow ? Float32Array : Float64Array)(size * planes.length);
  for (const [j, plane] of planes.entries()) values.set(plane.values, j * size);
  return { shape: [planes.length, ...shape], values };
}

type Shape = readonly number[];
const same = (a: Shape, b: Shape) => a.length === b.length && a.every((size, i) => size === b[i]);
const written = (shape: Shape) => `[${shape.join(', ')}]`;

export function checkShapes(
  reward: Shape,
  safety: Shape,
  weights: Shape | undefined,
  responses: Shape | undefined,
  name: string,
): void {
  const fits = reward.length === 2 || (reward.length === 1 && responses !== undefined);
  const plane = safety.length === reward.length ? safety : safety.slice(1);
  if (!fits || !same(plane, reward) || safety.length > reward.length + 1) {
    const last = safety.slice(0, -1);
    const mend = same(last, reward) ? '; the safety scores come first: numpy.moveaxis(safety, -1, 0)' : '';
    throw new UserError(
      `${name}: expected "reward" [N, K] and "safety" [m, N, K], or [R] and [m, R] with "responses" [N]; got ` +
        `${written(reward)} and ${written(safety)}${mend}`,
    );
  }
  if (safety.includes(0)) {
    throw new UserError(
      `${name}: expected scores, got empty arrays ${written(reward)} and ${written(safety)}`,
    );
  }
  if (weights && !same(weights, reward)) {
    throw new UserError(
      `${name}: expected "weights" like "reward" ${written(reward)}, got ${written(weights)}`,
    );
  }
  if (responses && (responses.length !== 1 || (reward.length === 2 && responses[0] !== reward[0]))) {
    const prompts = reward.length === 2 ? reward[0] : 'N';
    throw new UserError(
      `${name}: expected "responses" [${prompts}], the number of responses of each prompt, got ${written(responses)}`,
    );
  }
}

export function countsOf({ values }: StoredArray, reward: Shape, name: string): Uint32Array {
  const most = reward[reward.length - 1];
  let total = 0;
  for (const [n, count] of values.entries()) {
    if (!Number.isSafeInteger(count) || count < 1 || count > most) {
      throw new UserError(
        `${name}: expected whole numbers from 1 to ${most} in "responses", got ${count} for prompt ${n + 1}`,
      );
    }
    total += count;
  }
  if (reward.length === 1 && total !== most) {
    throw new UserError(
      `${name}: expected "reward" to hold the ${total} scores that "responses" adds up to, got ${most}`,
    );
  }
  return Uint32Array.from(values);
}

/** Moves the first `counts[n]` of each row of `width` values together, in place, on each of `planes` planes. */
function withoutPadding<T extends Float64Array | Float32Array>(
  values: T,
  counts: Uint32Array,
  width: number,
  planes: number,
): T {
  let to = 0;
  let from = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (const count of counts) {
      values.copyWithin(to, from, from + count);
      to += count;
      from += width;
    }
  }
  return values.subarray(0, to) as T;
}

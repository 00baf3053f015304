/** Score tables from the bodies of requests. */
import { scoresOfRows, shown } from '../src/data/score_rows.ts';
import { readScores } from '../src/data/scores.ts';
import type { ScoreTable } from '../src/dual/problem.ts';
import { messageOf, UserError } from '../src/errors.ts';
import { type BodyLimits, chunksOf, textOf } from './body.ts';
import { fromQuery } from './parameters.ts';
import { HttpProblem } from './problem.ts';

/** How messages call the scores of a request. */
const NAME = 'scores';

export interface ScoredRequest {
  readonly table: ScoreTable;
  /** Not checked yet. */
  readonly parameters: Record<string, unknown>;
}

/** A JSON body holds scores and parameters; any other body is a score file, with the parameters in the URL. */
export async function readRequest(request: Request, limits: BodyLimits): Promise<ScoredRequest> {
  const type = (request.headers.get('content-type') ?? '').split(';')[0].trim().toLowerCase();
  const chunks = chunksOf(request, limits);
  if (type !== 'application/json') {
    const parameters = fromQuery(new URL(request.url).searchParams);
    return { table: await asBadRequest(readScores(chunks, NAME)), parameters };
  }
  const { scores, ...parameters } = parseObject(await textOf(chunks));
  return { table: await asBadRequest(tableOf(scores)), parameters };
}

/** A score file that cannot be read is a bad request, whatever it was meant to ask. */
async function asBadRequest<T>(read: Promise<T>): Promise<T> {
  try {
    return await read;
  } catch (error) {
    throw error instanceof UserError ? new HttpProblem(400, error.message) : error;
  }
}

function parseObject(text: string): Record<string, unknown> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw new HttpProblem(400, `expected a body of JSON (${messageOf(error)})`);
  }
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return { ...body };
  throw new HttpProblem(400, 'expected an object {"scores": …, "beta": …, "limits": […]}');
}

async function tableOf(scores: unknown): Promise<ScoreTable> {
  if (Array.isArray(scores)) return scoresOfRows(scores, NAME);
  if (typeof scores === 'object' && scores !== null && 'reward' in scores && 'safety' in scores) {
    return fromArrays(scores.reward, scores.safety, 'weights' in scores ? scores.weights : undefined);
  }
  throw new UserError(
    'scores: expected rows [{"prompt": …, "reward": x, "safety": [g1, …]}, …] or arrays {"reward": [N][K], "safety": [m][N][K]}',
  );
}

/** `reward` and `weights` [N][K], `safety` [m][N][K], or [N][K] for a single score; K may differ between prompts. */
function fromArrays(reward: unknown, safety: unknown, weights: unknown): ScoreTable {
  const counts = lengths(reward, 'reward');
  const total = counts.reduce((sum, count) => sum + count, 0);
  const single = Array.isArray(safety) && Array.isArray(safety[0]) && !Array.isArray(safety[0][0]);
  const planes: unknown = single ? [safety] : safety;
  if (!Array.isArray(planes) || planes.length === 0) {
    throw new UserError('scores.safety: expected lists of numbers, [m][N][K]');
  }
  const values = new Float64Array(planes.length * total);
  for (const [j, plane] of planes.entries()) {
    fill(values.subarray(j * total, (j + 1) * total), plane, counts, `safety[${j}]`);
  }
  const listed = (lists: unknown, name: string) => {
    const found = new Float64Array(total);
    fill(found, lists, counts, name);
    return found;
  };
  const even = counts.every((count) => count === counts[0]);
  return {
    reward: listed(reward, 'reward'),
    safety: values,
    prompts: counts.length,
    responses: even ? counts[0] : counts,
    ...(weights === undefined ? {} : { weights: listed(weights, 'weights') }),
  };
}

function lengths(lists: unknown, name: string): Uint32Array {
  if (!Array.isArray(lists) || lists.length === 0 || !lists.every(Array.isArray)) {
    throw new UserError(`scores.${name}: expected a list of numbers for each prompt, [N][K]`);
  }
  return Uint32Array.from(lists, (list: readonly unknown[]) => list.length);
}

function fill(values: Float64Array, lists: unknown, counts: Uint32Array, name: string): void {
  const actual = lengths(lists, name);
  if (actual.length !== counts.length || actual.some((count, n) => count !== counts[n])) {
    throw new UserError(`scores.${name}: expected as many prompts and responses as in scores.reward`);
  }
  let at = 0;
  for (const [n, list] of (lists as unknown[][]).entries()) {
    for (const [k, value] of list.entries()) {
      if (typeof value !== 'number') {
        throw new UserError(`scores.${name}[${n}][${k}]: expected a number, got ${shown(value)}`);
      }
      values[at++] = value;
    }
  }
}

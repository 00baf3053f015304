/** What a source gives, checked, and its first prompts as a table to hold. */
import { UserError } from '../errors.ts';
import { checkTable, constraintsOf, responsesOf, type ScoreSource, type ScoreTable } from './problem.ts';

type Values = Float64Array | Float32Array;

/**
 * One pass over a source. Throws a UserError on a chunk that is no table or unlike the first
 * one, and on a source without any.
 */
export async function* chunksOf(source: ScoreSource): AsyncGenerator<ScoreTable> {
  let first: ScoreTable | undefined;
  for await (const chunk of source()) {
    checkTable(chunk);
    first ??= chunk;
    checkAlike(first, chunk);
    yield chunk;
  }
  if (!first) throw new UserError('scores: expected at least one prompt, got an empty source');
}

const ARRAYS = ['reward', 'safety', 'weights'] as const;

function checkAlike(first: ScoreTable, chunk: ScoreTable): void {
  if (constraintsOf(chunk) !== constraintsOf(first)) {
    throw new UserError(
      `scores: expected ${constraintsOf(first)} safety scores as in the first chunk, got ${constraintsOf(chunk)}`,
    );
  }
  if ((chunk.weights === undefined) !== (first.weights === undefined)) {
    throw new UserError('scores: expected weights in all chunks or in none, got them in some');
  }
  for (const name of ARRAYS) {
    if (first[name] instanceof Float32Array && chunk[name] instanceof Float64Array) {
      throw new UserError(`scores: expected ${name} in single precision as in the first chunk, got doubles`);
    }
  }
}

/** The first `prompts` prompts of chunks, copied, and what is left of the chunk they end in; undefined where none is. */
export async function headOf(
  chunks: AsyncGenerator<ScoreTable>,
  prompts: number,
): Promise<{ head: ScoreTable; rest?: ScoreTable }> {
  const parts: ScoreTable[] = [];
  for (let missing = prompts; ; ) {
    const { done, value } = await chunks.next();
    if (done) return { head: joined(parts) };
    const count = Math.min(missing, value.prompts);
    if (count > 0) parts.push(partOf(value, 0, count, true));
    missing -= count;
    if (count < value.prompts) {
      return { head: joined(parts), rest: partOf(value, count, value.prompts, false) };
    }
  }
}

/** Prompts `row` to `end` of a table, as a copy or where possible as a view. */
function partOf(table: ScoreTable, row: number, end: number, copy: boolean): ScoreTable {
  const { reward, safety, weights, responses } = table;
  const m = constraintsOf(table);
  const even = typeof responses === 'number';
  const sum = (counts: Uint32Array) => counts.reduce((total, count) => total + count, 0);
  const from = even ? row * responses : sum(responses.subarray(0, row));
  const to = even ? end * responses : from + sum(responses.subarray(row, end));
  const take = (values: Values) => (copy ? values.slice(from, to) : values.subarray(from, to));
  return {
    prompts: end - row,
    responses: even ? responses : responses.slice(row, end),
    reward: take(reward),
    safety: m === 1 ? take(safety) : planesOf(safety, m, reward.length, from, to),
    ...(weights ? { weights: take(weights) } : {}),
  };
}

function planesOf(values: Values, planes: number, plane: number, from: number, to: number): Values {
  const size = to - from;
  const out =
    values instanceof Float32Array ? new Float32Array(planes * size) : new Float64Array(planes * size);
  for (let j = 0; j < planes; j++) out.set(values.subarray(j * plane + from, j * plane + to), j * size);
  return out;
}

/** Tables one after another as one. */
export function joined(tables: readonly ScoreTable[]): ScoreTable {
  if (tables.length === 1) return tables[0];
  const m = constraintsOf(tables[0]);
  const prompts = tables.reduce((sum, table) => sum + table.prompts, 0);
  const total = tables.reduce((sum, table) => sum + table.reward.length, 0);
  const responses = new Uint32Array(prompts);
  let row = 0;
  for (const table of tables) {
    for (let n = 0; n < table.prompts; n++) responses[row++] = responsesOf(table, n);
  }
  const join = (planes: number, values: (table: ScoreTable) => Values) => {
    const single = tables.every((table) => values(table) instanceof Float32Array);
    const out = single ? new Float32Array(planes * total) : new Float64Array(planes * total);
    let at = 0;
    for (const table of tables) {
      const size = table.reward.length;
      for (let j = 0; j < planes; j++) {
        out.set(values(table).subarray(j * size, (j + 1) * size), j * total + at);
      }
      at += size;
    }
    return out;
  };
  const none = new Float64Array();
  return {
    prompts,
    responses: responses.every((count) => count === responses[0]) ? responses[0] : responses,
    reward: join(1, ({ reward }) => reward),
    safety: join(m, ({ safety }) => safety),
    ...(tables[0].weights ? { weights: join(1, ({ weights }) => weights ?? none) } : {}),
  };
}

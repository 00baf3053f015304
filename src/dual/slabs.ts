/** A source's prompts in pieces of one size, whatever the sizes of its chunks. */
import { UserError } from '../errors.ts';
import { checkTable, constraintsOf, responsesOf, type ScoreSource, type ScoreTable } from './problem.ts';

/** Prompts of a slab: a power of two of blocks, so that sums over slabs pair up as sums over blocks do. */
export const SLAB = 1024;

type Values = Float64Array | Float32Array;

/**
 * The prompts in slabs of SLAB; the last one may be shorter. A slab may share memory with the source's chunk, which the
 * next step may overwrite. Throws a UserError on a chunk that is no table or unlike the first one, or without any.
 */
export async function* slabsOf(source: ScoreSource): AsyncGenerator<ScoreTable> {
  let first: ScoreTable | undefined;
  let held: ScoreTable[] = [];
  let rows = 0;
  for await (const chunk of source()) {
    checkTable(chunk);
    first ??= chunk;
    checkAlike(first, chunk);
    let row = 0;
    let at = 0;
    while (row < chunk.prompts) {
      const count = Math.min(SLAB - rows, chunk.prompts - row);
      let end = at;
      for (let n = row; n < row + count; n++) end += responsesOf(chunk, n);
      const whole = count === SLAB;
      const part = partOf(chunk, row, count, at, end, !whole);
      row += count;
      at = end;
      if (whole) {
        yield part;
        continue;
      }
      held.push(part);
      rows += count;
      if (rows < SLAB) continue;
      yield joined(held);
      held = [];
      rows = 0;
    }
  }
  if (!first) throw new UserError('scores: expected at least one prompt, got an empty source');
  if (rows > 0) yield joined(held);
}

function checkAlike(first: ScoreTable, chunk: ScoreTable): void {
  if (constraintsOf(chunk) !== constraintsOf(first)) {
    throw new UserError(
      `scores: expected ${constraintsOf(first)} safety scores as in the first chunk, got ${constraintsOf(chunk)}`,
    );
  }
  if ((chunk.weights === undefined) !== (first.weights === undefined)) {
    throw new UserError('scores: expected weights in all chunks or in none, got them in some');
  }
}

/** Some prompts of a table, whose responses stand from `at` to `end`; as a copy, or where possible as a view. */
function partOf(
  table: ScoreTable,
  row: number,
  prompts: number,
  at: number,
  end: number,
  copy: boolean,
): ScoreTable {
  const { reward, safety, weights, responses } = table;
  const m = constraintsOf(table);
  const take = (values: Values) => (copy ? values.slice(at, end) : values.subarray(at, end));
  return {
    prompts,
    responses: typeof responses === 'number' ? responses : responses.slice(row, row + prompts),
    reward: take(reward),
    safety: m === 1 ? take(safety) : planesOf(safety, m, reward.length, at, end),
    ...(weights ? { weights: take(weights) } : {}),
  };
}

function planesOf(values: Values, planes: number, plane: number, at: number, end: number): Values {
  const size = end - at;
  const out =
    values instanceof Float32Array ? new Float32Array(planes * size) : new Float64Array(planes * size);
  for (let j = 0; j < planes; j++) out.set(values.subarray(j * plane + at, j * plane + end), j * size);
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

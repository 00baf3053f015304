/** Rows that run together: their indices, and the length that each is padded to. */
export interface Batch {
  readonly rows: readonly number[];
  readonly length: number;
}

const MAX_TOKENS = 8192;
const MAX_ROWS = 128;

/**
 * Batches of rows of equal padded length, shortest first, rows in order within them.
 *
 * Kernels choose their blocking, and so the order of their sums, by the padded length. Here that follows from a row's
 * own length alone, so that a score does not depend on the rows it is batched with.
 * @param lengths tokens of each row.
 * @param step padded lengths are multiples of it.
 * @param limit the longest padded length that the model takes.
 */
export function composeBatches(lengths: readonly number[], step: number, limit: number): Batch[] {
  const byLength = new Map<number, number[]>();
  for (const [row, tokens] of lengths.entries()) {
    const length = Math.min(Math.ceil(Math.max(tokens, 1) / step) * step, limit);
    const rows = byLength.get(length);
    if (rows) rows.push(row);
    else byLength.set(length, [row]);
  }
  return [...byLength]
    .sort(([a], [b]) => a - b)
    .flatMap(([length, rows]) => {
      const size = Math.max(1, Math.min(MAX_ROWS, Math.floor(MAX_TOKENS / length)));
      return Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => ({
        rows: rows.slice(i * size, (i + 1) * size),
        length,
      }));
    });
}

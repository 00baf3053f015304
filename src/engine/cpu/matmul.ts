/** How the CPU engine cuts a product into units of work: blocks of rows and columns. No bit hangs on it. */
export interface MatmulPlan {
  readonly rowSize: number;
  readonly columnSize: number;
  readonly units: number;
}

/** Columns of b that stay packed in the L2 cache while rows of a pass. */
const MOST_COLUMNS = 192;
/** Units for each thread, so that a slow one does not hold up the rest. */
const UNITS_PER_THREAD = 4;
/** Rows and columns that a unit keeps: packing pays for a part of a product only if it is used often. */
const LEAST_SIDE = 32;

/** out `[m, n]` in blocks: one thread takes all rows at once, several need more units. */
export function matmulPlan(m: number, n: number, threads: number): MatmulPlan {
  if (m === 0 || n === 0) return { rowSize: 1, columnSize: 1, units: 0 };
  let rowSize = m;
  let columnSize = Math.min(n, MOST_COLUMNS);
  const wanted = threads > 1 ? threads * UNITS_PER_THREAD : 1;
  const units = () => Math.ceil(m / rowSize) * Math.ceil(n / columnSize);
  while (units() < wanted && Math.max(rowSize, columnSize) > LEAST_SIDE) {
    if (columnSize >= rowSize) columnSize = half(columnSize);
    else rowSize = half(rowSize);
  }
  return { rowSize, columnSize, units: units() };
}

/** Half of a side, in whole tiles. */
function half(size: number): number {
  return Math.ceil(size / 16) * 8;
}

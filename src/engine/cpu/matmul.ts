/** How the CPU engine cuts a product into units of work. Only `kernel` touches the bits, and it hangs on k alone. */
export interface MatmulPlan {
  readonly kernel: 'matmulDot' | 'matmulTile';
  readonly rowSize: number;
  readonly columnSize: number;
  readonly units: number;
}

/** Shorter sums do not pay for adding up the lanes of `matmulDot`. */
const DOT_LEAST = 32;
/** Rows of a that stay in the L2 cache while columns of b pass. */
const DOT_ROWS = 64;
/** Columns of b that stay packed in the L2 cache while rows of a pass. */
const TILE_COLUMNS = 192;
/** Units for each thread, so that a slow one does not hold up the rest. */
const UNITS_PER_THREAD = 4;
/** Rows and columns that a unit has at least: packing pays for a part of a product only if it is used often. */
const LEAST_SIDE = 32;

export function matmulPlan(
  m: number,
  n: number,
  k: number,
  transposeA: boolean,
  transposeB: boolean,
  threads: number,
): MatmulPlan {
  if (m === 0 || n === 0) return { kernel: 'matmulTile', rowSize: 1, columnSize: 1, units: 0 };
  const dot = !transposeA && transposeB && k >= DOT_LEAST;
  let rowSize = dot ? Math.min(m, DOT_ROWS) : m;
  let columnSize = dot ? n : Math.min(n, TILE_COLUMNS);
  const wanted = threads > 1 ? threads * UNITS_PER_THREAD : 1;
  const units = () => Math.ceil(m / rowSize) * Math.ceil(n / columnSize);
  while (units() < wanted && Math.max(rowSize, columnSize) > LEAST_SIDE) {
    if (columnSize >= rowSize) columnSize = half(columnSize);
    else rowSize = half(rowSize);
  }
  return { kernel: dot ? 'matmulDot' : 'matmulTile', rowSize, columnSize, units: units() };
}

/** Half of a side, in whole tiles. */
function half(size: number): number {
  return Math.ceil(size / 16) * 8;
}
